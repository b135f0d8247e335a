"""Corners of a box in voxels: RoIs in the feature maps, and SR crops in the image."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

IMAGE_PER_FEATURE = 4
"""Voxels of the image along one side of a voxel of enc2 and dec2."""


def low_and_high(boxes: NDArray[np.float32]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Boxes (N, 6) -> lower and upper corners (N, 3): centre - and + side / 2, in voxels."""
    return boxes[:, :3] - boxes[:, 3:] / 2, boxes[:, :3] + boxes[:, 3:] / 2


def roi_corners(
    boxes: NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Boxes (N, 6) in image voxels -> half-open RoIs (N, 3) in a feature map of `shape`."""
    lower, upper = (c / IMAGE_PER_FEATURE for c in low_and_high(boxes))
    low = np.clip(np.floor(lower), 0, np.array(shape) - 1).astype(np.int64)
    high = np.clip(np.ceil(upper), low + 1, np.array(shape)).astype(np.int64)
    return low, high


def sr_corners(
    boxes: NDArray[np.float32], shape: tuple[int, ...], snap: Literal["outward", "truncate"]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Boxes (N, 6) -> half-open crops (N, 3) of an image of `shape`, at multiples of 4 voxels.

    outward: floor and ceil to multiples of 4; truncate: corners become integers first. A crop
    that clipping empties is widened to 4 voxels.
    """
    lower, upper = low_and_high(boxes)
    if snap == "truncate":
        lower, upper = np.trunc(lower), np.trunc(upper)
    step, limit = IMAGE_PER_FEATURE, np.array(shape)
    low = np.clip(np.floor(lower / step) * step, 0, limit - step).astype(np.int64)
    high = np.clip(np.ceil(upper / step) * step, low + step, limit).astype(np.int64)
    return low, high
