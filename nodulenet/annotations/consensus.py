"""Group the readers' outlines into nodules: the `nodulenet` protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.records import Mark, Session, SliceGeometry
from nodulenet.annotations.slices import ZRule, roi_slices
from nodulenet.files import InputError

MAX_LEVEL = 4
Offset = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Group:
    """The marks of one nodule.

    members: (session index, mark index) in the order they joined. mask: bool (d, h, w), the union
    of the members' masks, cropped to its box. offset: (z, y, x) array index of its first voxel.
    outlines: mask and offset of each member alone, cropped likewise.
    """

    members: tuple[tuple[int, int], ...]
    mask: NDArray[np.bool_]
    offset: Offset
    outlines: tuple[tuple[NDArray[np.bool_], Offset], ...]

    @property
    def level(self) -> int:
        """Number of marks, at most 4."""
        return min(len(self.members), MAX_LEVEL)

    @property
    def readers(self) -> int:
        """Number of distinct reading sessions among the marks."""
        return len({session for session, _ in self.members})


def consensus(
    sessions: Sequence[Session],
    geometry: SliceGeometry,
    level: int = 3,
    iou_threshold: float = 0.4,
    z: ZRule = "nearest",
) -> list[Group]:
    """Group the nodules >= 3 mm of all sessions; give the groups of at least `level` marks.

    In the order of sessions and marks in the file, a mark joins the first earlier group whose
    first member it overlaps with IoU > `iou_threshold`, else it founds a group. Groups come in
    the order of their founding. Nothing larger than the box of a nodule is allocated.

    Raises `InputError` naming session, mark and ROI for an ROI more than half a slice from every
    slice or with a vertex outside the image.
    """
    groups: list[list[tuple[tuple[int, int], NDArray[np.bool_], Offset]]] = []
    for session_index, session in enumerate(sessions):
        for mark_index, mark in enumerate(session.marks):
            if mark.kind != "nodule":
                continue
            where = f"session {session_index + 1}, nodule {mark.mark_id!r}"
            mask, offset = mark_mask(mark, geometry, z, where)
            member = ((session_index, mark_index), mask, offset)
            for group in groups:
                _, first, first_offset = group[0]
                if mask_iou(mask, offset, first, first_offset) > iou_threshold:
                    group.append(member)
                    break
            else:
                groups.append([member])
    return [_united(group) for group in groups if min(len(group), MAX_LEVEL) >= level]


def mark_mask(
    mark: Mark, geometry: SliceGeometry, z: ZRule = "nearest", where: str = "mark"
) -> tuple[NDArray[np.bool_], Offset]:
    """Voxels of an outlined mark: bool (d, h, w) cropped to its box, and its (z, y, x) offset.

    On every slice all points of the mark there, in file order, are one polygon that is filled
    with its outline included (OpenCV's `fillPoly`: even-odd interior plus the drawn edges).

    Raises `InputError` starting with `where` as `consensus` does.
    """
    slices = roi_slices(mark, geometry, z, where).tolist()
    points, (x0, y0), (x1, y1) = _pixels(mark, geometry, where)
    z0, z1 = min(slices), max(slices)
    filled = np.zeros((z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1), np.uint8)
    ends = accumulate(len(roi.vertices) for roi in mark.rois)
    outlines: dict[int, list[NDArray[np.int32]]] = {}
    start = 0
    for index, end in zip(slices, ends, strict=True):
        outlines.setdefault(index, []).append(points[start:end])
        start = end
    for index, parts in outlines.items():
        polygon = parts[0] if len(parts) == 1 else np.concatenate(parts)
        cv2.fillPoly(filled[index - z0], [polygon], 1, offset=(-x0, -y0))
    return filled.view(np.bool_), (z0, y0, x0)


def mask_iou(
    a: NDArray[np.bool_], a_offset: Offset, b: NDArray[np.bool_], b_offset: Offset
) -> float:
    """IoU of two cropped masks in one grid, from the overlap of their boxes alone."""
    in_a, in_b = [], []
    for start_a, size_a, start_b, size_b in zip(a_offset, a.shape, b_offset, b.shape, strict=True):
        low, high = max(start_a, start_b), min(start_a + size_a, start_b + size_b)
        if low >= high:
            return 0.0
        in_a.append(slice(low - start_a, high - start_a))
        in_b.append(slice(low - start_b, high - start_b))
    common = np.count_nonzero(a[tuple(in_a)] & b[tuple(in_b)])
    return common / (np.count_nonzero(a) + np.count_nonzero(b) - common)


def count_levels(groups: Sequence[Group]) -> tuple[int, int, int, int]:
    """Number of groups at level >= 1, 2, 3 and 4."""
    levels = [group.level for group in groups]
    n1, n2, n3, n4 = (sum(value >= least for value in levels) for least in (1, 2, 3, 4))
    return n1, n2, n3, n4


def _pixels(
    mark: Mark, geometry: SliceGeometry, where: str
) -> tuple[NDArray[np.int32], list[int], list[int]]:
    """Vertices (n, 2) of all ROIs of a mark, in file order, as whole (x, y) pixels; the least
    and the greatest x and y.
    """
    numbers = chain.from_iterable(chain.from_iterable(roi.vertices for roi in mark.rois))
    vertices = np.array(list(numbers)).reshape(-1, 2)
    points = np.rint(vertices).astype(np.int32)
    low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    rows, columns = geometry.shape
    if min(low) < 0 or high[0] >= columns or high[1] >= rows:
        outside = ((points < 0) | (points >= (columns, rows))).any(axis=1).argmax()
        ends = np.cumsum([len(roi.vertices) for roi in mark.rois])
        roi = int(np.searchsorted(ends, outside, side="right"))
        x, y = vertices[outside]
        raise InputError(
            f"{where}, ROI {roi + 1}: vertex ({x:g}, {y:g}) is outside the image"
            f" of {columns} x {rows} pixels"
        )
    return points, low, high


def _united(members: list[tuple[tuple[int, int], NDArray[np.bool_], Offset]]) -> Group:
    starts = np.array([offset for _, _, offset in members])
    ends = starts + [mask.shape for _, mask, _ in members]
    low, high = starts.min(axis=0), ends.max(axis=0)
    union = np.zeros(tuple(high - low), np.bool_)
    for (_, mask, _), start, end in zip(members, starts - low, ends - low, strict=True):
        union[tuple(map(slice, start, end))] |= mask
    z, y, x = low.tolist()
    outlines = tuple((mask, offset) for _, mask, offset in members)
    return Group(tuple(member for member, _, _ in members), union, (z, y, x), outlines)
