"""From a CT in HU to the 1 mm, 8-bit volume that the network sees."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.grid import Shape, index_map, moved, target_grid
from nodulenet.imaging.hull import LUNG_LABELS, lung_region
from nodulenet.imaging.lungs import segment_lungs
from nodulenet.imaging.resample import apply_blocks, blocks, spline_matrix, support
from nodulenet.imaging.volume import Volume
from nodulenet.settings import PreprocessSettings


def preprocess(
    volume: Volume,
    lungs: NDArray[np.uint8] | None = None,
    **options: Any,
) -> Volume:
    """Clip, mask, resample to 1 mm and crop a CT: uint8 (z, y, x) with the affine of the crop.

    HU are clipped to `hu_window` and scaled to 0-255; all but the lung region (`lung_region`)
    is set to `pad_value`; a cubic B-spline resamples that to the grid of `target_grid`; the
    result is cropped to the box of the undilated lungs, `margin` new voxels wider on all sides.
    The axes stay those of `volume`, which `standard` turns before.

    lungs: labels 3 and 4 on the grid of `volume`; segmented here if missing. options: as in
    `PreprocessSettings`, those left out at their published values. Raises `InputError` if the lungs
    do not fit the volume or hold no lung, `NoLungs` if none are found, `ValueError` for an option
    that does not exist.
    """
    settings = PreprocessSettings(**options)
    if lungs is None:
        lungs = segment_lungs(volume)
    if lungs.shape != volume.array.shape:
        raise InputError(f"lung mask of shape {lungs.shape} for a CT of {volume.array.shape}")
    affine, shape = target_grid(
        volume.affine, lungs.shape, resample=settings.resample, grid=settings.grid
    )
    box = _target_box(lungs, volume.affine, affine, shape, settings.margin)
    source, weights = box, None
    if settings.resample:
        weights = _axis_weights(box, volume, affine)
        source = tuple(support(axis) for axis in weights)
    planes = masked_planes(volume.array[source], lungs[source], settings)
    if weights is None:
        array = np.stack([to_bytes(plane) for plane in planes])
    else:
        array = _resampled(planes, weights)
    return Volume(array, moved(affine, [side.start for side in box]))


def masked_planes(
    array: NDArray, lungs: NDArray[np.uint8], settings: PreprocessSettings
) -> Iterator[NDArray[np.float32]]:
    """Yield the slices (y, x) of a CT, clipped, scaled to 0-255, `pad_value` off the lungs."""
    low, high = settings.hu_window
    scale = np.float32(255 / (high - low))
    for plane, kept in zip(array, lung_region(lungs), strict=True):
        clipped = np.clip(plane.astype(np.float32), low, high)
        clipped -= np.float32(low)
        clipped *= scale
        clipped[~kept] = settings.pad_value
        yield clipped


def to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round to whole numbers, clipped to 0-255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _target_box(
    lungs: NDArray[np.uint8],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    shape: Shape,
    margin: int,
) -> tuple[slice, ...]:
    """Box of the undilated lungs in the new grid, `margin` voxels wider, within the grid."""
    inside = (lungs == LUNG_LABELS[0]) | (lungs == LUNG_LABELS[1])
    ends = []
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        used = np.flatnonzero(inside.any(axis=others))
        if not len(used):
            raise InputError(f"lung mask without a voxel of the labels {LUNG_LABELS}")
        ends.append((used[0], used[-1]))
    matrix, shift = index_map(target_affine, source_affine)
    low, high = (matrix @ np.array(end, float) + shift for end in zip(*ends, strict=True))
    first = np.maximum(np.floor(low + 1e-6).astype(int) - margin, 0)
    last = np.minimum(np.ceil(high - 1e-6).astype(int) + margin, np.array(shape) - 1)
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))


def _axis_weights(
    box: tuple[slice, ...], volume: Volume, affine: NDArray[np.float64]
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
    in_z, in_y, in_x = (blocks(axis[:, support(axis)]) for axis in weights)
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
