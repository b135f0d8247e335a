"""The lung region that is kept: slice-wise convex hulls, dilated."""

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_GROWTH = 1.5
DILATIONS = 10
LUNG_LABELS = (3, 4)


def lung_region(lungs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The region (z, y, x) around the lungs that preprocessing keeps.

    lungs: (z, y, x), labels 3 and 4. In each slice each lung's convex hull, where it has at
    most 1.5 times the lung's area, else the lung itself; then ten dilations with the
    6-neighbourhood.
    """
    region = np.zeros(lungs.shape, np.uint8)
    for label in LUNG_LABELS:
        for z in np.flatnonzero((lungs == label).any(axis=(1, 2))):
            lung = lungs[z] == label
            hull = convex_hull(lung)
            region[z] |= hull if hull.sum() <= MAX_GROWTH * lung.sum() else lung
    return dilated(region, DILATIONS)


def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a non-empty mask (y, x) whose centre lies in the convex hull of its pixels.

    A pixel counts as the diamond of its centre and the midpoints of its sides, as in
    `skimage.morphology.convex_hull_image`. The arithmetic is exact, in half pixels.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    left = 2 * mask[rows].argmax(axis=1)
    right = 2 * (mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1))
    y = 2 * rows
    x = np.concatenate([left - 1, left, left, right, right, right + 1])
    tips = np.stack([x, np.concatenate([y, y - 1, y + 1, y - 1, y + 1, y])], axis=1)
    corners = cv2.convexHull(tips.astype(np.int32)[:, None])[:, 0].astype(np.int64)
    first, last = _row_ends(corners, int(rows[0]), int(rows[-1]), mask.shape[1])
    columns = np.arange(mask.shape[1])
    hull = np.zeros(mask.shape, bool)
    hull[rows[0] : rows[-1] + 1] = (columns >= first[:, None]) & (columns <= last[:, None])
    return hull


def _row_ends(
    corners: NDArray[np.int64], top: int, bottom: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last pixel inside a convex polygon (x, y in half pixels) for rows top..bottom."""
    first = np.full(bottom - top + 1, width, np.int64)
    last = np.full(bottom - top + 1, -1, np.int64)
    for edge in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        (x0, y0), (x1, y1) = sorted(edge, key=lambda corner: corner[1])
        if y0 == y1:
            continue
        rows = np.arange(max(top, -(-y0 // 2)), min(bottom, y1 // 2) + 1)
        run = 2 * (y1 - y0)
        numerator = x0 * (y1 - y0) + (2 * rows - y0) * (x1 - x0)
        at = rows - top
        first[at] = np.minimum(first[at], -(-numerator // run))
        last[at] = np.maximum(last[at], numerator // run)
    return first, last


def dilated(region: NDArray[np.uint8] | NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Dilate (z, y, x) so many times with the 6-neighbourhood: all within that L1 distance."""
    distance = np.full(region.shape, times + 1, np.uint8)
    for plane, nearest in zip(region, distance, strict=True):
        if plane.any():
            background = (plane == 0).astype(np.uint8)
            in_plane = cv2.distanceTransform(background, cv2.DIST_L1, 3, dstType=cv2.CV_8U)
            np.minimum(in_plane, times + 1, out=nearest)
    for z in range(1, len(distance)):
        np.minimum(distance[z], distance[z - 1] + 1, out=distance[z])
    for z in range(len(distance) - 2, -1, -1):
        np.minimum(distance[z], distance[z + 1] + 1, out=distance[z])
    return distance <= times
