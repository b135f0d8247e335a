"""Which voxels belong to a box: RoI pooling of features and the corners of SR crops."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d

IMAGE_PER_FEATURE = 4
"""Voxels of the image along one side of a voxel of enc2 and dec2."""

ROI_SIDE = 7


def corners(boxes: NDArray[np.float32]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Boxes (N, 6) -> lower and upper corners (N, 3): centre - and + side / 2, in voxels."""
    return boxes[:, :3] - boxes[:, 3:] / 2, boxes[:, :3] + boxes[:, 3:] / 2


def roi_corners(
    boxes: NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Boxes (N, 6) in image voxels -> half-open RoIs (N, 3) in a feature map of `shape`."""
    lower, upper = (c / IMAGE_PER_FEATURE for c in corners(boxes))
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
    lower, upper = corners(boxes)
    if snap == "truncate":
        lower, upper = np.trunc(lower), np.trunc(upper)
    step, limit = IMAGE_PER_FEATURE, np.array(shape)
    low = np.clip(np.floor(lower / step) * step, 0, limit - step).astype(np.int64)
    high = np.clip(np.ceil(upper / step) * step, low + step, limit).astype(np.int64)
    return low, high


def roi_pool(features: Tensor, items: NDArray[np.int64], boxes: NDArray[np.float32]) -> Tensor:
    """Adaptive max-pooling of each box to 7x7x7.

    features: (batch, C, z, y, x) at 1/4; items: (N,) batch index; boxes: (N, 6) image voxels.
    Returns (N, C, 7, 7, 7). Maxima are searched without a graph and then gathered at once, so
    that the backward pass is one scatter instead of a full-size gradient for every box.
    """
    channels, shape = features.shape[1], features.shape[2:]
    low, high = roi_corners(boxes, tuple(shape))
    index = torch.empty((len(boxes), channels, ROI_SIDE**3), dtype=torch.int64)
    index = index.to(features.device)
    with torch.no_grad():
        for k, (item, a, b) in enumerate(
            zip(items.tolist(), low.tolist(), high.tolist(), strict=True)
        ):
            crop = features[item, :, a[0] : b[0], a[1] : b[1], a[2] : b[2]]
            _, local = adaptive_max_pool3d(crop.float(), ROI_SIDE, return_indices=True)
            index[k] = global_index(local.flatten(1), a, crop.shape[1:], shape)
    flat = features.flatten(2)[torch.from_numpy(items).to(features.device)]
    return flat.gather(2, index).unflatten(2, (ROI_SIDE,) * 3)


def global_index(local: Tensor, low: list[int], crop: torch.Size, shape: torch.Size) -> Tensor:
    """Flat index inside a crop that starts at `low` -> flat index in the whole map."""
    x = local % crop[2] + low[2]
    y = local // crop[2] % crop[1] + low[1]
    z = local // (crop[2] * crop[1]) + low[0]
    return (z * shape[1] + y) * shape[2] + x
