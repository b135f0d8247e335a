"""The CT series of folders: one rule for which files are their slices, wherever they are read.

A series is the union of its slices at and below a folder. A copy of a slice (same SOPInstanceUID,
geometry and pixels) counts once. What is no CT slice is passed over with its reason. A CT image
that cannot be used refuses its series; one that does not say its series refuses those beside it.
"""

from __future__ import annotations

import filecmp
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nodulenet.files import InputError, examples, walk_folders
from nodulenet.imaging.dicom_pixels import stored_values
from nodulenet.imaging.dicom_slices import LOCALIZER, Examined, Slice, examine


@dataclass(frozen=True, eq=False)
class Series:
    """The files of one CT series.

    folder: the lowest that all its slices lie at or below. slices: each once, in the order of
    their paths. copies: files that are copies of them. passed: other files that name the series,
    and those beside its slices that name none. fault: why it is refused, "" if it is not.
    """

    series_uid: str
    folder: Path
    slices: tuple[Slice, ...]
    copies: tuple[Path, ...]
    passed: tuple[Examined, ...]
    fault: str


def examine_below(folder: Path, series_uid: str | None = None) -> Iterator[Examined]:
    """What every file at and below a folder is, XML (annotations) apart.

    Raises `InputError` if a folder cannot be listed.
    """
    for place, names in walk_folders(folder):
        for name in names:
            if not name.lower().endswith(".xml"):
                yield examine(place / name, series_uid)


def read_series(folder: Path, series_uid: str | None = None) -> Series:
    """The one CT series at and below a folder, or the one with this UID.

    Raises `InputError` naming folder or file: no CT slice, several series without a choice, a
    CT image that cannot be used, two files that claim to be the same slice and are not.
    """
    files = list(examine_below(folder, series_uid))
    series = gather_series(files)
    if series_uid:
        series = {uid: held for uid, held in series.items() if uid == series_uid}
    if len(series) > 1:
        listed = ", ".join(sorted(series))
        raise InputError(f"{folder}: holds {len(series)} series, name one of {listed}")
    if not series:
        raise InputError(_nothing(folder, series_uid, files))
    (chosen,) = series.values()
    if chosen.fault:
        raise InputError(chosen.fault)
    return chosen


def gather_series(files: Iterable[Examined]) -> dict[str, Series]:
    """Put the files of several folders together, by the series that have a slice."""
    slices: dict[str, list[Slice]] = defaultdict(list)
    passed: dict[str | Path, list[Examined]] = defaultdict(list)
    faults: dict[str | Path, str] = {}  # by series, and by folder where that is not known
    for item in files:
        for found in item.slices:
            slices[found.series_uid].append(found)
        if item.passed:
            passed[item.series_uid or item.path.parent].append(item)
        if item.fault:
            faults.setdefault(item.series_uid or item.path.parent, item.fault)
    return {uid: _series(held, passed, faults) for uid, held in sorted(slices.items())}


def _series(
    slices: list[Slice],
    passed: dict[str | Path, list[Examined]],
    faults: dict[str | Path, str],
) -> Series:
    uid = slices[0].series_uid
    keys: list[str | Path] = [uid, *sorted({item.path.parent for item in slices})]
    beside = tuple(item for key in keys for item in passed.get(key, []))
    fault = next((faults[key] for key in keys if key in faults), "")
    try:
        used, copies = _without_copies(slices)
    except InputError as error:
        used, copies, fault = slices, [], fault or str(error)
    folder = Path(os.path.commonpath([item.path.parent for item in used]))
    return Series(uid, folder, tuple(used), tuple(copies), beside, fault)


def _without_copies(slices: list[Slice]) -> tuple[list[Slice], list[Path]]:
    """Each slice once, from as few folders as may be, and the files of the others.

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
        if not _same(first[key], item):
            raise InputError(
                f"{item.path} and {first[key].path} have one SOPInstanceUID and are not the same"
                " slice: keep the right one of them"
            )
        copies[item.path] = None
    return sorted(first.values(), key=lambda s: (s.path, s.frame or 0)), list(copies)


def _same(a: Slice, b: Slice) -> bool:
    """Whether two files have the same slice: byte for byte, or in geometry and pixels."""
    if filecmp.cmp(a.path, b.path, shallow=False):
        return True
    alike = all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("position", "axes", "spacing", "shape", "slope", "intercept")
    )
    pixels = [next(stored_values(item.path, [item])) for item in (a, b) if alike]
    return alike and np.array_equal(pixels[0], pixels[1])


def told(files: Iterable[Examined]) -> list[str]:
    """A line for each reason for which files were passed over or are at fault."""
    reasons: dict[str, list[Path]] = defaultdict(list)
    for item in files:
        if reason := item.fault.removeprefix(f"{item.path}: ") or item.passed:
            reasons[reason].append(item.path)
    return [
        f"{len(paths)} file{'s' * (len(paths) > 1)}: {reason} ({examples([p.name for p in paths])})"
        for reason, paths in reasons.items()
    ]


def localizers(series: Series) -> set[int]:
    """InstanceNumbers of the series' localizers."""
    own = (item for item in series.passed if item.passed == LOCALIZER)
    return {item.number for item in own if item.number is not None}


def _nothing(folder: Path, series_uid: str | None, files: list[Examined]) -> str:
    """Why there is no CT series: a fault of it, other series, or what was passed over."""
    own = [item for item in files if item.series_uid in (None, series_uid) or not series_uid]
    if fault := next((item.fault for item in own if item.fault), ""):
        return fault
    others = sorted({item.series_uid for item in files if item.series_uid} - {series_uid})
    if series_uid and others:
        return f"{folder}: holds no series {series_uid}, but {', '.join(others)}"
    lines = told(files)
    what = f"no CT slice of series {series_uid}" if series_uid else "no CT slice"
    return f"{folder}: holds {what}" + (f" (passed over: {examples(lines)})" if lines else "")
