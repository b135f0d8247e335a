"""RoI pooling: the maxima of every box on a 7x7x7 grid."""

import math
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d

from nodulenet.model.corners import roi_corners

ROI_SIDE = 7

Indices = NDArray[np.int64]


def roi_pool(features: Tensor, items: Indices, boxes: NDArray[np.float32]) -> Tensor:
    """Adaptive max-pooling of each box to 7x7x7.

    features: (batch, C, z, y, x) at 1/4; items: (N,) batch index; boxes: (N, 6) image voxels.
    Returns (N, C, 7, 7, 7). The positions of the maxima are found without a graph and gathered at
    once, so that the backward pass is one scatter instead of a full-size gradient per box.
    """
    low, high = roi_corners(boxes, tuple(features.shape[2:]))
    maps = features.detach().float().contiguous()
    find = find_maxima if features.device.type == "cpu" else pool_each
    index = find(maps, items, low, high)
    flat = features.transpose(0, 1).flatten(1)
    pooled = flat.gather(1, index.transpose(0, 1).flatten(1))
    return pooled.unflatten(1, (len(boxes), *(ROI_SIDE,) * 3)).transpose(0, 1)


def find_maxima(maps: Tensor, items: Indices, low: Indices, high: Indices) -> Tensor:
    """Positions of the maxima: (N, C, 343) indices into the batch's voxels, on the CPU.

    maps: (batch, C, z, y, x) float32; RoIs low..high (N, 3), half-open.
    """
    index = np.empty((len(items), maps.shape[1], ROI_SIDE**3), np.int64)
    _find_maxima(maps.numpy(), items, low, high, index)
    return torch.from_numpy(index)


def pool_each(maps: Tensor, items: Indices, low: Indices, high: Indices) -> Tensor:
    """The same as `find_maxima`, by one call of torch's pooling per RoI, on any device."""
    shape = tuple(maps.shape[2:])
    index = torch.zeros((len(items), maps.shape[1], ROI_SIDE**3), dtype=torch.int64)
    index = index.to(maps.device)
    for k, (item, a, b) in enumerate(zip(items.tolist(), low.tolist(), high.tolist(), strict=True)):
        crop = maps[item, :, a[0] : b[0], a[1] : b[1], a[2] : b[2]]
        index[k] = adaptive_max_pool3d(crop, ROI_SIDE, return_indices=True)[1].flatten(1)
    start = torch.from_numpy(low).to(index.device)[:, :, None, None]
    size = torch.from_numpy(high - low).to(index.device)[:, :, None, None]
    x = index % size[:, 2] + start[:, 2]
    rows = index // size[:, 2]
    y = rows % size[:, 1] + start[:, 1]
    z = rows // size[:, 1] + start[:, 0]
    of_item = torch.from_numpy(items).to(index.device)[:, None, None] * math.prod(shape)
    return of_item + (z * shape[1] + y) * shape[2] + x


@njit(cache=True, nogil=True)
def _find_maxima(maps: Any, items: Any, low: Any, high: Any, index: Any) -> None:
    _, channels, depth, height, width = maps.shape
    for n in range(len(items)):
        size = high[n] - low[n]
        for c in range(channels):
            source = maps[items[n], c]
            place = 0
            for i in range(ROI_SIDE):
                z0 = low[n, 0] + i * size[0] // ROI_SIDE
                z1 = low[n, 0] + -(-(i + 1) * size[0] // ROI_SIDE)
                for j in range(ROI_SIDE):
                    y0 = low[n, 1] + j * size[1] // ROI_SIDE
                    y1 = low[n, 1] + -(-(j + 1) * size[1] // ROI_SIDE)
                    for k in range(ROI_SIDE):
                        x0 = low[n, 2] + k * size[2] // ROI_SIDE
                        x1 = low[n, 2] + -(-(k + 1) * size[2] // ROI_SIDE)
                        best, at = -np.inf, (z0 * height + y0) * width + x0
                        for z in range(z0, z1):
                            for y in range(y0, y1):
                                for x in range(x0, x1):
                                    if source[z, y, x] > best:
                                        best = source[z, y, x]
                                        at = (z * height + y) * width + x
                        index[n, c, place] = items[n] * depth * height * width + at
                        place += 1
