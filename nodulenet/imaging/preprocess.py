"""From a CT in HU to the 1 mm, 8-bit volume that the network sees, the lungs' region kept."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.grid import (
    PUBLISHED,
    Shape,
    apply_blocks,
    crop_affine,
    cut_blocks,
    index_map,
    spline_matrix,
    support,
    target_grid,
)
from nodulenet.imaging.lungs import LUNG_LABELS, segment_lungs
from nodulenet.imaging.volume import Volume
from nodulenet.masks import Box, voxel_box
from nodulenet.settings import PreprocessSettings

MAX_GROWTH = 1.5
DILATIONS = 10


def preprocess(
    volume: Volume,
    lungs: NDArray[np.uint8] | None = None,
    settings: PreprocessSettings = PUBLISHED,
) -> Volume:
    """Clip, mask, resample to 1 mm and crop a CT: uint8 (z, y, x) with the affine of the crop.

    HU are clipped to `settings.hu_window` and scaled to 0-255; everything outside the lung region
    (`lung_region`) is set to `pad_value`; a cubic B-spline resamples that to the grid of
    `target_grid`; the result is cropped to the box of the undilated lungs plus `margin` new
    voxels on all sides. The axes stay those of `volume`, which `standard` turns beforehand.

    lungs: labels 3 and 4 on the grid of `volume`; segmented here if missing. Raises
    `InputError` if they do not fit the volume or contain no lung, or if none are found.
    """
    if lungs is None:
        lungs = segment_lungs(volume)
    if lungs.shape != volume.array.shape:
        raise InputError(f"lung mask of shape {lungs.shape} for a CT of {volume.array.shape}")
    affine, shape = target_grid(volume.affine, lungs.shape, settings)
    box = _target_box(lungs, index_map(affine, volume.affine), shape, settings.margin)
    source, weights = box, None
    if settings.resample:
        weights = _axis_weights(box, volume, affine)
        source = tuple(support(axis) for axis in weights)
    planes = masked_planes(volume.array[source], lungs[source], settings)
    if weights is None:
        array = np.stack([to_bytes(plane) for plane in planes])
    else:
        array = _resampled(planes, weights)
    return Volume(array, crop_affine(affine, [side.start for side in box]))


def masked_planes(
    array: NDArray, lungs: NDArray[np.uint8], settings: PreprocessSettings
) -> Iterator[NDArray[np.float32]]:
    """Yield the slices (y, x) of a CT, clipped, scaled to 0-255, masked outside the lungs."""
    low, high = settings.hu_window
    scale = np.float32(255 / (high - low))
    for plane, kept in zip(array, lung_region(lungs), strict=True):
        clipped = np.clip(plane.astype(np.float32), low, high)
        clipped -= np.float32(low)
        clipped *= scale
        clipped[~kept] = settings.pad_value
        yield clipped


def to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round to integers, clipped to 0-255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _target_box(
    lungs: NDArray[np.uint8],
    to_target: tuple[NDArray[np.float64], NDArray[np.float64]],
    shape: Shape,
    margin: int,
) -> Box:
    """Box of the undilated lungs in the new grid, `margin` voxels wider, within the grid."""
    own = voxel_box((lungs == LUNG_LABELS[0]) | (lungs == LUNG_LABELS[1]))
    if own is None:
        raise InputError(f"lung mask without a voxel of the labels {LUNG_LABELS}")
    matrix, shift = to_target
    low = matrix @ np.array([side.start for side in own], float) + shift
    high = matrix @ np.array([side.stop - 1 for side in own], float) + shift
    first = np.maximum(np.floor(low + 1e-6).astype(int) - margin, 0)
    last = np.minimum(np.ceil(high - 1e-6).astype(int) + margin, np.array(shape) - 1)
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))


def _axis_weights(
    box: Box, volume: Volume, affine: NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    """Interpolation weights (new voxels of the box, old voxels) of the axes z, y, x."""
    matrix, shift = index_map(volume.affine, affine)
    return [
        spline_matrix(np.arange(side.start, side.stop) * matrix[k, k] + shift[k], size)
        for k, (side, size) in enumerate(zip(box, volume.array.shape, strict=True))
    ]


def _resampled(
    planes: Iterator[NDArray[np.float32]], weights: list[NDArray[np.float32]]
) -> NDArray[np.uint8]:
    """Interpolate slices (y, x) along y and x, then the stack along z; rounded to bytes."""
    in_z, in_y, in_x = (cut_blocks(axis[:, support(axis)]) for axis in weights)
    depth, height, width = (len(axis) for axis in weights)
    stack = []
    for plane in planes:
        tall = np.empty((height, plane.shape[1]), np.float32)
        apply_blocks(in_y, plane, tall)
        wide = np.empty((height, width), np.float32)
        apply_blocks(in_x, tall.T, wide.T)
        stack.append(wide.ravel())
    samples = np.stack(stack)
    array = np.empty((depth, height * width), np.uint8)
    for rows, columns, block in in_z:
        array[rows] = to_bytes(block @ samples[columns])
    return array.reshape(depth, height, width)


def lung_region(lungs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The region (z, y, x) around the lungs that preprocessing keeps.

    lungs: (z, y, x), labels 3 and 4. In each slice, each lung's convex hull if it has at most
    1.5 times the lung's area, else the lung itself; then ten dilations with the 6-neighbourhood.
    """
    region = np.zeros(lungs.shape, np.uint8)
    for label in LUNG_LABELS:
        for z in np.flatnonzero((lungs == label).any(axis=(1, 2))):
            lung = lungs[z] == label
            hull = convex_hull(lung)
            region[z] |= hull if hull.sum() <= MAX_GROWTH * lung.sum() else lung
    return dilate(region, DILATIONS)


def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a non-empty mask (y, x) whose centres lie in the convex hull of its pixels.

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


def dilate(region: NDArray[np.uint8] | NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Dilate (z, y, x) this many times with the 6-neighbourhood: all within that L1 distance."""
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
