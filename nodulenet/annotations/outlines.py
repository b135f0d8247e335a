"""The voxels of one reader's mark: its outlines filled, with or without what was drawn."""

from itertools import accumulate, chain

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.records import Mark, SliceGeometry
from nodulenet.annotations.slices import roi_slices
from nodulenet.files import InputError
from nodulenet.masks import CroppedMask, Index, crop
from nodulenet.settings import ZRule

# Polygons of one slice, each with whether it is part of the nodule: vertices (n, 2) as (x, y).
Outlines = list[tuple[NDArray[np.int32], bool]]


def mark_mask(
    mark: Mark, geometry: SliceGeometry, z: ZRule = "nearest", where: str = "mark"
) -> CroppedMask:
    """Voxels of an outlined mark in the grid of its scan.

    On every slice all points of the mark there, in file order, are one polygon that is filled
    with its outline included (OpenCV's `fillPoly`: even-odd interior plus the drawn edges).

    Raises `InputError` starting with `where` as `consensus` does.
    """
    slices, filled, offset = _outlines(mark, geometry, z, where)
    for index, outlines in slices.items():
        parts = [points for points, _ in outlines]
        polygon = parts[0] if len(parts) == 1 else np.concatenate(parts)
        cv2.fillPoly(filled[index], [polygon], 1)
    return CroppedMask(filled.view(np.bool_), offset)


def interior_mask(
    mark: Mark, geometry: SliceGeometry, z: ZRule = "nearest", where: str = "mark"
) -> CroppedMask | None:
    """Voxels inside the outlines of a mark, as `mark_mask` gives them; None where there is none.

    LIDC's readers drew the first pixels outside the nodule, so that no drawn pixel is part of it.
    Every ROI is closed by a straight edge and filled by itself (even-odd) without its outline;
    the ROIs of a slice are united. Of a hole (inclusion FALSE) the filled polygon with its
    outline is taken away from the others of its slice, whatever their order.

    Raises `InputError` starting with `where` as `consensus` does.
    """
    slices, filled, offset = _outlines(mark, geometry, z, where)
    for index, outlines in slices.items():
        _fill_interior(filled[index], outlines)
    mask = filled.view(np.bool_)
    return crop(mask, offset) if mask.any() else None


def _fill_interior(plane: NDArray[np.uint8], outlines: Outlines) -> None:
    """Set the voxels (h, w) inside the outlines of one slice."""
    if len(outlines) == 1:  # nearly every slice: no other plane is needed
        points, included = outlines[0]
        if included:
            cv2.fillPoly(plane, [points], 1)
            cv2.polylines(plane, [points], True, 0)
        return
    for points, included in outlines:
        if included:
            alone = np.zeros_like(plane)
            _fill_interior(alone, [(points, True)])
            plane |= alone
    for points, included in outlines:
        if not included:
            cv2.fillPoly(plane, [points], 0)


def _outlines(
    mark: Mark, geometry: SliceGeometry, z: ZRule, where: str
) -> tuple[dict[int, Outlines], NDArray[np.uint8], Index]:
    """The outlines of a mark by slice, in pixels of the mark's box; that box as an array (d, h, w)
    of zeros to fill; and its (z, y, x) offset in the scan.
    """
    indices = roi_slices(mark, geometry, z, where).tolist()
    points, (x0, y0), (x1, y1) = _pixels(mark, geometry, where)
    z0, z1 = min(indices), max(indices)
    points -= np.array((x0, y0), np.int32)
    ends = accumulate(len(roi.vertices) for roi in mark.rois)
    slices: dict[int, Outlines] = {}
    start = 0
    for index, end, roi in zip(indices, ends, mark.rois, strict=True):
        slices.setdefault(index - z0, []).append((points[start:end], roi.inclusion))
        start = end
    return slices, np.zeros((z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1), np.uint8), (z0, y0, x0)


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
