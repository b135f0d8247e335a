"""The CT series of folders: one rule for which files are their slices, wherever they are read.

A series is the union of its slices at and below a folder. A copy of a slice (same SOPInstanceUID,
geometry and pixels) counts once. Files that are not CT slices are skipped, with a reason. A CT
image that cannot be used makes its series unusable; one without a series UID, those in its folder.
"""

from __future__ import annotations

import filecmp
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nodulenet.files import InputError, examples, walk_folders
from nodulenet.imaging.dicom_header import FRAME, read_header, text_of
from nodulenet.imaging.dicom_pixels import stored_values
from nodulenet.imaging.dicom_slices import LOCALIZER, InspectedFile, Slice, inspect_file

SCANNER = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName"}
THICKNESS = "slice_thickness_mm"


@dataclass(frozen=True, eq=False)
class Series:
    """The files of one CT series.

    folder: the lowest folder that contains all its slices. slices: each once, in the order of
    their paths. copies: files that are copies of them. skipped: other files of the series, and
    those in the folders of its slices without a series UID. fault: why it is unusable, or "".
    """

    series_uid: str
    folder: Path
    slices: tuple[Slice, ...]
    copies: tuple[Path, ...]
    skipped: tuple[InspectedFile, ...]
    fault: str


def inspect_folder(folder: Path, series_uid: str | None = None) -> Iterator[InspectedFile]:
    """`inspect_file` for every file at and below a folder, except XML (annotations).

    Raises `InputError` if a folder cannot be listed.
    """
    for place, names in walk_folders(folder):
        for name in names:
            if not name.lower().endswith(".xml"):
                yield inspect_file(place / name, series_uid)


def read_series(folder: Path, series_uid: str | None = None) -> Series:
    """The only CT series at and below a folder, or the one with this UID.

    Raises `InputError` naming folder or file: no CT slice, several series and no UID, a CT image
    that cannot be used, two files that claim to be the same slice and are not.
    """
    files = list(inspect_folder(folder, series_uid))
    series = gather_series(files)
    if series_uid:
        series = {uid: found for uid, found in series.items() if uid == series_uid}
    if len(series) > 1:
        listed = ", ".join(sorted(series))
        raise InputError(f"{folder}: holds {len(series)} series, name one of {listed}")
    if not series:
        raise InputError(_why_none(folder, series_uid, files))
    (chosen,) = series.values()
    if chosen.fault:
        raise InputError(chosen.fault)
    return chosen


def read_scanner(path: Path | str, series_uid: str) -> dict[str, Any]:
    """Manufacturer, model and slice thickness in mm from the first slice of a DICOM series.

    None for what is missing; all are for a file in another format, which cannot store them. The
    series must be one that `read_volume` reads.
    """
    first = _first_slice(Path(path), series_uid)
    if first is None:
        return dict.fromkeys((*SCANNER, THICKNESS))
    header = read_header(first.path, list(SCANNER.values()))
    names = {name: text_of(header, tag, first.path) or None for name, tag in SCANNER.items()}
    return {**names, THICKNESS: first.thickness}


def read_frame(path: Path | str, series_uid: str) -> str | None:
    """The FrameOfReferenceUID of a DICOM series, from its first slice; else None."""
    first = _first_slice(Path(path), series_uid)
    if first is None:
        return None
    return text_of(read_header(first.path, [FRAME]), FRAME, first.path) or None


def _first_slice(path: Path, series_uid: str) -> Slice | None:
    """The first slice found of a DICOM series; None for a file in another format."""
    if not path.is_dir():
        return None
    files = (item for item in inspect_folder(path, series_uid) if item.slices)
    return next((item.slices[0] for item in files), None)


def gather_series(files: Iterable[InspectedFile]) -> dict[str, Series]:
    """Group files, of one or several folders, by series; a series has at least one slice."""
    slices: dict[str, list[Slice]] = defaultdict(list)
    skipped: dict[str | Path, list[InspectedFile]] = defaultdict(list)
    faults: dict[str | Path, str] = {}  # by series, or by folder if that is not known
    for item in files:
        for found in item.slices:
            slices[found.series_uid].append(found)
        if item.skipped:
            skipped[item.series_uid or item.path.parent].append(item)
        if item.fault:
            faults.setdefault(item.series_uid or item.path.parent, item.fault)
    return {uid: _series(own, skipped, faults) for uid, own in sorted(slices.items())}


def _series(
    slices: list[Slice],
    skipped: dict[str | Path, list[InspectedFile]],
    faults: dict[str | Path, str],
) -> Series:
    uid = slices[0].series_uid
    keys: list[str | Path] = [uid, *sorted({item.path.parent for item in slices})]
    beside = tuple(item for key in keys for item in skipped.get(key, []))
    fault = next((faults[key] for key in keys if key in faults), "")
    try:
        used, copies = _without_copies(slices)
    except InputError as error:
        used, copies, fault = slices, [], fault or str(error)
    folder = Path(os.path.commonpath([item.path.parent for item in used]))
    return Series(uid, folder, tuple(used), tuple(copies), beside, fault)


def _without_copies(slices: list[Slice]) -> tuple[list[Slice], list[Path]]:
    """Each slice once, from as few folders as possible, and the files of the others.

    Raises `InputError` for two files with one SOPInstanceUID that are not the same slice.
    """
    count = Counter(item.path.parent for item in slices)
    first: dict[tuple[str, int | None], Slice] = {}
    copies: dict[Path, None] = {}
    for item in sorted(slices, key=lambda s: (-count[s.path.parent], s.path, s.frame or 0)):
        key = (item.sop_uid or str(item.path), item.frame)
        if key not in first:
            first[key] = item
            continue
        if not _same_slice(first[key], item):
            raise InputError(
                f"{item.path} and {first[key].path} have one SOPInstanceUID and are not the same"
                " slice: keep the right one of them"
            )
        copies[item.path] = None
    return sorted(first.values(), key=lambda s: (s.path, s.frame or 0)), list(copies)


def _same_slice(a: Slice, b: Slice) -> bool:
    """Whether two files hold the same slice: byte for byte, or in geometry and pixels."""
    if filecmp.cmp(a.path, b.path, shallow=False):
        return True
    alike = all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("position", "axes", "spacing", "shape", "slope", "intercept")
    )
    pixels = [next(stored_values(item.path, [item])) for item in (a, b) if alike]
    return alike and np.array_equal(pixels[0], pixels[1])


def skip_reasons(files: Iterable[InspectedFile]) -> list[str]:
    """One line for each reason why files were skipped or cannot be used."""
    reasons: dict[str, list[Path]] = defaultdict(list)
    for item in files:
        if reason := item.fault.removeprefix(f"{item.path}: ") or item.skipped:
            reasons[reason].append(item.path)
    return [
        f"{len(paths)} file{'s' * (len(paths) > 1)}: {reason} ({examples([p.name for p in paths])})"
        for reason, paths in reasons.items()
    ]


def localizers(series: Series) -> set[int]:
    """InstanceNumbers of the series' localizers."""
    own = (item for item in series.skipped if item.skipped == LOCALIZER)
    return {item.number for item in own if item.number is not None}


def _why_none(folder: Path, series_uid: str | None, files: list[InspectedFile]) -> str:
    """Why there is no CT series: an unusable file of it, other series, or what was skipped."""
    own = [item for item in files if item.series_uid in (None, series_uid) or not series_uid]
    if fault := next((item.fault for item in own if item.fault), ""):
        return fault
    others = sorted({item.series_uid for item in files if item.series_uid} - {series_uid})
    if series_uid and others:
        return f"{folder}: holds no series {series_uid}, but {', '.join(others)}"
    lines = skip_reasons(files)
    what = f"no CT slice of series {series_uid}" if series_uid else "no CT slice"
    return f"{folder}: holds {what}" + (f" (skipped: {examples(lines)})" if lines else "")
