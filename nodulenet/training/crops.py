"""Augmented training crops: their position, and one affine resampling that cuts them."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.settings import AugmentSettings


@dataclass(frozen=True)
class CropPlan:
    """One crop of side `size`: its start (z, y, x) in source voxels, magnification, rotation
    about the crop's z axis in radians, and flips of y and x."""

    start: tuple[float, float, float]
    size: int
    scale: float = 1.0
    angle: float = 0.0
    flips: tuple[bool, bool] = (False, False)


ROTATION_TRIES = 3
SMALLEST, SPARE = 8.0, 8.0
"""Voxels: a nodule is not scaled below the first, nor above the crop's side minus the second."""


def plan_crop(
    centre: NDArray[np.floating],
    extent: float,
    size: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> CropPlan:
    """Draw the crop of a nodule: its centre (z, y, x) and largest extent in voxels, 0 for none."""
    scale = draw_scale(extent, size, settings, rng)
    start = draw_start(centre, extent, size / scale, settings, rng)
    plan = CropPlan(start, size, scale)
    if settings.rotate:
        angle = draw_angle((centre - start) * scale, extent * scale, size, rng)
        plan = CropPlan(start, size, scale, angle)
    if settings.flip:
        flips = (bool(rng.integers(2)), bool(rng.integers(2)))
        plan = CropPlan(start, size, scale, plan.angle, flips)
    return plan


def draw_scale(
    extent: float, size: int, settings: AugmentSettings, rng: np.random.Generator
) -> float:
    """Magnification: uniform, but no nodule is shrunk below 8 voxels or grown beyond the crop."""
    smallest, largest = settings.scale
    if extent == 0:
        return rng.uniform(smallest, largest)
    low = min(1.0, max(smallest, SMALLEST / extent))
    high = max(1.0, min(largest, (size - SPARE) / extent))
    return rng.uniform(low, high)


def draw_start(
    centre: NDArray[np.floating],
    extent: float,
    block: float,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Start of a block of side `block`: uniform where the nodule's cube keeps the margin to
    every face, beyond the volume if need be; centred with a jitter where that is impossible."""
    low = centre + extent / 2 + settings.margin - block
    high = centre - extent / 2 - settings.margin
    if low[0] > high[0]:
        middle = centre - block / 2
        low, high = middle - settings.jitter, middle + settings.jitter
    z, y, x = np.round(rng.uniform(low, high))
    return float(z), float(y), float(x)


def draw_angle(
    centre: NDArray[np.floating], extent: float, size: int, rng: np.random.Generator
) -> float:
    """Angle in [0, pi) that keeps the rotated centre more than the extent from every face; 0 if
    three tries find none. centre: (z, y, x) in voxels of the crop."""
    middle = (size - 1) / 2
    for _ in range(ROTATION_TRIES):
        angle = rng.uniform(0, math.pi)
        y, x = centre[1] - middle, centre[2] - middle
        rotated = (
            middle + math.cos(angle) * y - math.sin(angle) * x,
            middle + math.sin(angle) * y + math.cos(angle) * x,
        )
        if all(extent < c < size - 1 - extent for c in (centre[0], *rotated)):
            return angle
    return 0.0


def cut_crop(
    volume: NDArray[np.uint8],
    labels: NDArray[np.integer],
    plan: CropPlan,
    pad_value: int,
    rotation_fill: int,
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Cut a crop (size, size, size) out of a volume and its labels, both (z, y, x).

    The image is interpolated linearly, the labels by the nearest voxel. Beyond the volume the
    image is `pad_value`, beyond the rotated block `rotation_fill`; labels are 0 there.
    """
    where = _in_plane(plan)
    z = plan.start[0] + np.arange(plan.size) / plan.scale
    return (
        _sample_image(np.asarray(volume), z, where, (pad_value, rotation_fill)),
        _sample_labels(np.asarray(labels), np.rint(z).astype(np.int64), where),
    )


def _in_plane(
    plan: CropPlan,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Source y and x (size, size) of a slice of the crop, and which pixels the rotated block
    covers: the rotation is axial, so every slice has the same."""
    middle = (plan.size - 1) / 2
    axis = np.arange(plan.size) - middle
    v = axis[::-1] if plan.flips[0] else axis
    u = axis[::-1] if plan.flips[1] else axis
    y = middle + math.cos(plan.angle) * v[:, None] + math.sin(plan.angle) * u
    x = middle - math.sin(plan.angle) * v[:, None] + math.cos(plan.angle) * u
    covered = np.maximum(np.abs(y - middle), np.abs(x - middle)) <= plan.size / 2
    return plan.start[1] + y / plan.scale, plan.start[2] + x / plan.scale, covered


@njit(cache=True, nogil=True)
def _sample_image(volume, z, where, grey):  # type: ignore[no-untyped-def]
    size = len(z)
    image = np.empty((size, size, size), np.uint8)
    # Slices of the source, already interpolated in plane: the last two that were needed.
    planes = np.empty((2, size, size), np.float32)
    held = np.full(2, np.iinfo(np.int64).min)
    for i in range(size):
        below = math.floor(z[i])
        for k in range(below, below + 2):
            if held[k % 2] != k:
                _sample_plane(volume, k, where, grey, planes[k % 2])
                held[k % 2] = k
        weight = np.float32(z[i] - below)
        low, high = planes[below % 2], planes[(below + 1) % 2]
        for j in range(size):
            for k in range(size):
                value = low[j, k] + weight * (high[j, k] - low[j, k])
                image[i, j, k] = np.uint8(value + np.float32(0.5))
    return image


@njit(cache=True, nogil=True)
def _sample_plane(volume, z, where, grey, plane):  # type: ignore[no-untyped-def]
    y, x, covered = where
    depth, height, width = volume.shape
    size = len(plane)
    pad, fill = np.float32(grey[0]), grey[1]
    if not 0 <= z < depth:
        for j in range(size):
            for k in range(size):
                plane[j, k] = pad if covered[j, k] else np.float32(fill)
        return
    source = volume[z]
    for j in range(size):
        for k in range(size):
            if not covered[j, k]:
                plane[j, k] = fill
                continue
            b, c = math.floor(y[j, k]), math.floor(x[j, k])
            q, r = np.float32(y[j, k] - b), np.float32(x[j, k] - c)
            if 0 <= b < height - 1 and 0 <= c < width - 1:
                top = source[b, c] + r * (np.float32(source[b, c + 1]) - source[b, c])
                bottom = source[b + 1, c] + r * (
                    np.float32(source[b + 1, c + 1]) - source[b + 1, c]
                )
            else:
                left, right = _pixel(source, b, c, pad), _pixel(source, b, c + 1, pad)
                top = left + r * (right - left)
                left, right = _pixel(source, b + 1, c, pad), _pixel(source, b + 1, c + 1, pad)
                bottom = left + r * (right - left)
            plane[j, k] = top + q * (bottom - top)


@njit(cache=True, nogil=True, inline="always")
def _pixel(source, y, x, pad):  # type: ignore[no-untyped-def]
    if 0 <= y < source.shape[0] and 0 <= x < source.shape[1]:
        return np.float32(source[y, x])
    return pad


@njit(cache=True, nogil=True)
def _sample_labels(labels, z, where):  # type: ignore[no-untyped-def]
    y, x, covered = where
    depth, height, width = labels.shape
    size = len(z)
    target = np.zeros((size, size, size), labels.dtype)
    column = np.empty((size, size), np.int64)
    for j in range(size):
        for k in range(size):
            b, c = round(y[j, k]), round(x[j, k])
            inside = covered[j, k] and 0 <= b < height and 0 <= c < width
            column[j, k] = b * width + c if inside else -1
    for i in range(size):
        if 0 <= z[i] < depth:
            source = labels[z[i]].ravel()
            for j in range(size):
                for k in range(size):
                    if column[j, k] >= 0:
                        target[i, j, k] = source[column[j, k]]
    return target
