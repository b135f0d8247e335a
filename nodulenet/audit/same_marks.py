"""Which marks of two sources are the same, and why one of them lacks a mark of the other."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nodulenet.annotations.lidc_xml import SESSIONS
from nodulenet.annotations.records import Mark, Reading, Roi

Place = tuple[int, int]
"""Session index and mark index in a reading."""

RoiKey = tuple[float, bool, tuple[tuple[float, float], ...]]


@dataclass(frozen=True)
class Pairing:
    """Nodules >= 3 mm of two readings, by their places.

    pairs: a mark of the first reading and the same of the second. first, second: marks that only
    that reading holds.
    """

    pairs: tuple[tuple[Place, Place], ...]
    first: tuple[Place, ...]
    second: tuple[Place, ...]


def mark_at(reading: Reading, place: Place) -> Mark:
    """The mark at a place."""
    return reading.sessions[place[0]].marks[place[1]]


def pair_marks(first: Reading, second: Reading) -> Pairing:
    """Pair the nodules of two readings of one series.

    Marks with the same name and the same ROIs are paired in their order; the others are paired by
    the number of ROIs in common, most first, at least one. Marks that share no ROI are never the
    same, whatever their names.
    """
    a, b = _nodules(first), _nodules(second)
    pairs = []
    for place, mark in list(a.items()):
        twin = next((p for p, m in b.items() if _key(m) == _key(mark)), None)
        if twin is not None:
            pairs.append((place, twin))
            del a[place], b[twin]
    shared = [(-_in_common(a[p], b[q]), p, q) for p in a for q in b]
    for common, p, q in sorted(shared):
        if common and p in a and q in b:
            pairs.append((p, q))
            del a[p], b[q]
    return Pairing(tuple(sorted(pairs)), tuple(a), tuple(b))


def extent(mark: Mark, spacing: float) -> float:
    """Largest side in mm of the box of a mark's points; spacing: mm in plane."""
    points = np.array([point for roi in mark.rois for point in roi.vertices])
    z = [roi.z for roi in mark.rois]
    return float(max(*(np.ptp(points, axis=0) * spacing), max(z) - min(z)))


@dataclass(frozen=True)
class OtherSource:
    """A source of annotations: its name, its reading of a series, and the largest `extent` in mm of
    a mark that it holds in the whole corpus.
    """

    name: str
    reading: Reading
    largest: float


def absence(reading: Reading, place: Place, other: OtherSource, spacing: float) -> str:
    """Why the mark at `place` in `reading` may be absent from another source, as far as the data
    show; spacing: mm in plane.
    """
    mark = mark_at(reading, place)
    clues = []
    if all(len(roi.vertices) == 1 for roi in mark.rois):
        clues.append("a single point")
    if not mark.characteristics:
        clues.append("no characteristics")
    elif not any(mark.characteristics.values()):
        clues.append("all characteristics 0, which is no rating")
    copies = [p for p, m in _nodules(reading).items() if p != place and _rois(m) == _rois(mark)]
    if copies:
        session, number = copies[0]
        clues.append(f"the outlines of session {session + 1}, mark {number + 1} once more")
    clues += [
        f"a mark of kind {twin.kind} there"
        for session in other.reading.sessions
        for twin in session.marks
        if twin.kind != "nodule" and _in_common(mark, twin)
    ]
    if len(reading.sessions) > SESSIONS and any(session.reader for session in reading.sessions):
        clues.append(f"of session {place[0] + 1} of {len(reading.sessions)}")
    size = extent(mark, spacing)
    if size > other.largest:
        clues.append(f"{size:.1f} mm large, the largest mark there is {other.largest:.1f} mm")
    if clues:
        return "; ".join([f"absent from {other.name}", *clues])
    return f"absent from {other.name}, which holds no ROI of it; no reason is apparent"


def roi_differences(first: Mark, second: Mark, names: tuple[str, str]) -> str:
    """Which ROIs of a mark only one of two sources has; "" if none."""
    a, b = _rois(first), _rois(second)
    parts = []
    for alone, lacking in ((a - b, names[1]), (b - a, names[0])):
        count = alone.total()
        points = sum(number for (_, _, vertices), number in alone.items() if len(vertices) == 1)
        if count:
            what = "ROI" if count == 1 else "ROIs"
            each = "a single point" if count == 1 else "single points"
            single = f", {each}" if points == count else f", {points} of them single points"
            parts.append(f"{count} {what} absent from {lacking}{single if points else ''}")
    return "; ".join(parts)


def _nodules(reading: Reading) -> dict[Place, Mark]:
    return {
        (s, m): mark
        for s, session in enumerate(reading.sessions)
        for m, mark in enumerate(session.marks)
        if mark.kind == "nodule"
    }


def _key(mark: Mark) -> tuple[str, Sequence[RoiKey]]:
    return mark.mark_id, [_roi_key(roi) for roi in mark.rois]


def _roi_key(roi: Roi) -> RoiKey:
    return roi.z, roi.inclusion, roi.vertices


def _rois(mark: Mark) -> Counter[RoiKey]:
    return Counter(_roi_key(roi) for roi in mark.rois)


def _in_common(first: Mark, second: Mark) -> int:
    return (_rois(first) & _rois(second)).total()
