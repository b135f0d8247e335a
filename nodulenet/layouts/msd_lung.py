"""The lung task of the Medical Segmentation Decathlon: one binary mask of tumours per CT."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nodulenet.cohort.index import Index, Passed
from nodulenet.files import InputError, opening
from nodulenet.imaging.image_files import image_suffix
from nodulenet.layouts.common import (
    NO_ANNOTATIONS,
    Cohort,
    Request,
    left_over,
    list_files,
    open_images,
    plural,
    require_scans,
    table_of_rows,
    the_file,
    usable_masks,
)

DATA_SET = "dataset.json"
CONFIG = ("annotations: masks", "consensus: {components: true, level: 1}")


def msd_lung_cohort(request: Request) -> Cohort:
    """The lung task in a folder: the training pairs of its `dataset.json`, wherever that lies."""
    files = list_files(request.root)
    path = the_file(files, {DATA_SET}, request.root, DATA_SET)
    listed = read_data_set(path)
    pairs, passed = training_pairs(listed, path)
    cts, faulty = open_images("msd_lung", {name: ct for name, (ct, _) in pairs.items()})
    labels, odd = usable_masks({name: label for name, (_, label) in pairs.items()})
    passed += faulty + odd
    rows = []
    for name, image in cts.items():
        if name not in labels:
            passed.append((image.path, f"{NO_ANNOTATIONS}: its mask is refused"))
            continue
        row = {"series_uid": image.uid, "patient_id": name, "ct": str(image.path)}
        rows.append(row | {"annotations": str(labels[name]), "lung_mask": ""})
    table = table_of_rows(rows)
    require_scans(table, request.root, "training pair of the lung task", passed)
    tests = test_images(listed, path)
    passed += [(test, "a test image, whose mask is not published") for test in tests]
    used = [path, *(file for pair in pairs.values() for file in pair)]
    counts = f"{plural(len(table), 'scan')}, 1 mask each; its parts are counted as nodules later"
    return Cohort(Index(table, left_over(files, used, passed, "the task"), []), counts, CONFIG)


def read_data_set(path: Path) -> dict[str, Any]:
    """The content of `dataset.json`. Raises `InputError` if it is not that of the lung task."""
    with opening(path):
        text = path.read_bytes()
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(listed, dict) or not isinstance(listed.get("training"), list):
        raise InputError(f"{path}: has no list `training` of pairs of image and label")
    if "lung" not in str(listed.get("name", "lung")).casefold():
        raise InputError(f"{path}: is of the task {listed['name']!r}, not of the lung task")
    labels = listed.get("labels", {})
    if isinstance(labels, dict) and set(labels) - {"0", "1"}:
        raise InputError(f"{path}: has the labels {', '.join(labels)}, not 0 and 1 alone")
    return listed


def training_pairs(
    listed: dict[str, Any], path: Path
) -> tuple[dict[str, tuple[Path, Path]], Passed]:
    """CT and mask by name, and files without the other.

    Raises `InputError` for an entry that is no pair, one that is there twice, and if no file of a
    pair is there.
    """
    pairs: dict[str, tuple[Path, Path]] = {}
    passed: Passed = []
    for number, entry in enumerate(listed["training"], 1):
        try:
            ct, label = (path.parent / entry[key] for key in ("image", "label"))
        except (TypeError, KeyError):
            fault = f"training entry {number} is no pair of image and label"
            raise InputError(f"{path}: {fault}") from None
        name = ct.name.removesuffix(image_suffix(ct))
        if name in pairs:
            raise InputError(f"{path}: training entry {number}: {name} is listed twice")
        there = [file.is_file() for file in (ct, label)]
        if all(there):
            pairs[name] = ct, label
        elif there[0]:
            passed.append((ct, f"{NO_ANNOTATIONS}: {name}"))
        else:
            what = f"no CT of its series: {name}" if there[1] else f"neither CT nor mask: {name}"
            passed.append((label if there[1] else path, what))
    if listed["training"] and not pairs:
        told = path.parent / str(listed["training"][0]["image"])
        raise InputError(f"{path}: none of its training pairs is there, such as {told}")
    return pairs, passed


def test_images(listed: dict[str, Any], path: Path) -> Sequence[Path]:
    """The images of the list `test` that are there."""
    tests = listed.get("test") or []
    images = [path.parent / one for one in tests if isinstance(one, str)]
    return [image for image in images if image.is_file()]
