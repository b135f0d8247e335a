"""Find the readers' masks of series in a folder: DICOM segmentations and label maps."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from nodulenet.files import InputError, read_json, walk_folders
from nodulenet.imaging.dicom_header import NotDicom, read_header
from nodulenet.imaging.image_files import image_suffix
from nodulenet.imaging.label_maps import SEGMENTATIONS
from nodulenet.imaging.readers import data_files
from nodulenet.progress import track

PREDICTION = "findings.json"
"""Written by `nodulenet predict` beside its masks."""

DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)+")
Passed = list[tuple[Path, str]]


def find_masks(folder: Path, images: Mapping[str, Path]) -> tuple[dict[str, list[Path]], Passed]:
    """The mask files of each series, sorted by path, and every other file with the reason.

    A DICOM segmentation names its series. A label map is of the series that the `findings.json`
    beside it names, else of that whose UID is in its own name or in that of the nearest folder.
    images: series -> its CT, which is not a mask. Raises `InputError` where both forms of one
    prediction lie together: only one was corrected.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    passed: Passed = []
    cts = set(images.values())
    for place, names in track(walk_folders(folder), "look for masks", "folders"):
        files = [place / name for name in sorted(names)]
        data = {part for path in files if image_suffix(path) for part in _data_files(path)}
        own = []
        for path in files:
            if path in data or path in cts:
                continue
            try:
                uid = series_of(path, folder)
            except InputError as error:
                passed.append((path, str(error).removeprefix(f"{path}: ")))
                continue
            own.append(path)
            if uid in images:
                found[uid].append(path)
            else:
                passed.append((path, f"no CT of its series: {uid}"))
        if len(own) > 1 and PREDICTION in names:
            both = " and ".join(path.name for path in own)
            raise InputError(f"{place}: {both} are one prediction: keep the one that was corrected")
    return dict(found), passed


def series_of(path: Path, root: Path) -> str:
    """The series that a mask file below `root` is of. Raises `InputError` for another file."""
    if image_suffix(path):
        return _series_of_label_map(path, root)
    try:
        header = read_header(path, ("SOPClassUID", "ReferencedSeriesSequence"))
    except NotDicom:
        raise InputError(f"{path}: neither a DICOM file nor an image") from None
    if header.get("SOPClassUID") not in SEGMENTATIONS:
        raise InputError(f"{path}: a DICOM file, but no segmentation")
    named = {str(one.SeriesInstanceUID) for one in header.get("ReferencedSeriesSequence", [])}
    if len(named) != 1:
        raise InputError(f"{path}: a segmentation of {len(named)} series")
    return named.pop()


def _series_of_label_map(path: Path, root: Path) -> str:
    beside = path.with_name(PREDICTION)
    if beside.exists():
        return str(read_json(beside)["series_uid"])
    names = [path.name.removesuffix(image_suffix(path)), *path.parent.relative_to(root).parts[::-1]]
    for name in names:
        if uid := max(DOTTED.findall(name), key=len, default=""):
            return uid
    raise InputError(f"{path}: neither its name nor that of a folder above has a series UID")


def _data_files(path: Path) -> list[Path]:
    try:
        return data_files(path)
    except InputError:
        return []  # the file itself is reported when it is read
