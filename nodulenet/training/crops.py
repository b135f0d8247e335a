"""Augmented training crops: where to cut, and one affine resampling that cuts it."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class Augmentation:
    """How crops are drawn. margin and jitter in voxels; scale: the range of magnification."""

    flip: bool = True
    rotate: bool = True
    scale: tuple[float, float] = (0.75, 1.25)
    margin: float = 12
    jitter: float = 6
    rotation_fill: int = 170
    random_crops: float = 0.0


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
"""Voxels: a nodule is not scaled below the first, nor above the crop's side less the second."""


def plan_crop(
    centre: NDArray[np.floating],
    extent: float,
    size: int,
    settings: Augmentation,
    rng: np.random.Generator,
) -> CropPlan:
    """Draw the crop of a nodule: its centre (z, y, x) and largest extent in voxels."""
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


def draw_scale(extent: float, size: int, settings: Augmentation, rng: np.random.Generator) -> float:
    """Magnification: uniform, but no nodule is shrunk below 8 voxels or grown beyond the crop."""
    smallest, largest = settings.scale
    extent = max(extent, 1.0)
    low = min(1.0, max(smallest, SMALLEST / extent))
    high = max(1.0, min(largest, (size - SPARE) / extent))
    return rng.uniform(low, high)


def draw_start(
    centre: NDArray[np.floating],
    extent: float,
    block: float,
    settings: Augmentation,
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
    """Angle in [0, pi) that leaves the rotated centre more than the extent from every face; 0
    where three tries find none. centre: (z, y, x) in voxels of the crop."""
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
    shape = (plan.size,) * 3
    image, target = np.empty(shape, np.uint8), np.empty(shape, labels.dtype)
    _resample(
        np.asarray(volume),
        np.asarray(labels),
        image,
        target,
        np.array(plan.start),
        1 / plan.scale,
        np.cos(plan.angle),
        np.sin(plan.angle),
        np.array(plan.flips),
        pad_value,
        rotation_fill,
    )
    return image, target


@njit(cache=True, nogil=True)
def _resample(volume, labels, image, target, start, step, cos, sin, flips, pad, fill):  # type: ignore[no-untyped-def]
    size = image.shape[0]
    middle = (size - 1) / 2
    depth, height, width = volume.shape
    for i in range(size):
        z = start[0] + i * step
        for j in range(size):
            v = (size - 1 - j if flips[0] else j) - middle
            for k in range(size):
                u = (size - 1 - k if flips[1] else k) - middle
                y = middle + cos * v + sin * u
                x = middle - sin * v + cos * u
                if not (-0.5 <= y <= size - 0.5 and -0.5 <= x <= size - 0.5):
                    image[i, j, k] = fill
                    target[i, j, k] = 0
                    continue
                y, x = start[1] + y * step, start[2] + x * step
                a, b, c = round(z), round(y), round(x)
                inside = 0 <= a < depth and 0 <= b < height and 0 <= c < width
                target[i, j, k] = labels[a, b, c] if inside else 0
                image[i, j, k] = _linear(volume, z, y, x, pad)


@njit(cache=True, nogil=True, inline="always")
def _voxel(volume, z, y, x, pad):  # type: ignore[no-untyped-def]
    depth, height, width = volume.shape
    if 0 <= z < depth and 0 <= y < height and 0 <= x < width:
        return float(volume[z, y, x])
    return float(pad)


@njit(cache=True, nogil=True)
def _linear(volume, z, y, x, pad):  # type: ignore[no-untyped-def]
    a, b, c = math.floor(z), math.floor(y), math.floor(x)
    p, q, r = z - a, y - b, x - c
    value = 0.5
    for i in range(2):
        wz = p if i else 1 - p
        for j in range(2):
            wy = q if j else 1 - q
            for k in range(2):
                weight = wz * wy * (r if k else 1 - r)
                if weight > 0:
                    value += weight * _voxel(volume, a + i, b + j, c + k, pad)
    return int(value)
