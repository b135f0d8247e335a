"""Features of boxes: their maxima on a 7x7x7 grid, and crops of one size."""

import torch
from torch import Tensor

from nodulenet.boxes.roi import ROI_SIDE, roi_maxima
from nodulenet.model.corners import roi_corners


def voxels(maps: Tensor) -> Tensor:
    """Maps (batch, C, z, y, x) as rows of channels (voxels, C); no copy if they are channels
    last."""
    return maps.permute(0, 2, 3, 4, 1).reshape(-1, maps.shape[1])


def roi_pool(features: Tensor, items: Tensor, boxes: Tensor) -> Tensor:
    """Adaptive max-pooling of all boxes to 7x7x7.

    features: (batch, C, z, y, x) at 1/4; items: (N,) batch index; boxes: (N, 6) image voxels.
    Returns (N, C, 7, 7, 7) float32. The positions of the maxima are found without a graph and
    gathered at once, so that the backward pass is one scatter instead of a full-size gradient per
    box. Its sums are of float32: many boxes may share a maximum.
    """
    low, high = roi_corners(boxes, tuple(features.shape[2:]))
    exact = features.float()
    maps = exact.detach().permute(0, 2, 3, 4, 1).contiguous()
    index = roi_maxima(maps, items, low, high)
    pooled = voxels(exact).gather(0, index.flatten(0, 1))
    shape = len(boxes), *(ROI_SIDE,) * 3, features.shape[1]
    return pooled.view(shape).permute(0, 4, 1, 2, 3)


def cut(maps: Tensor, items: Tensor, low: Tensor, size: tuple[int, ...]) -> Tensor:
    """Crops of one size (z, y, x) at low (n, 3) of the batch items (n,): (n, C, z, y, x).

    One gather, whose backward pass is one sum, instead of a full-size gradient per crop.
    """
    depth, height, width = maps.shape[2:]
    z, y, x = (
        low[:, axis, None] + torch.arange(size[axis], device=low.device) for axis in range(3)
    )
    plane = (items[:, None] * depth + z)[:, :, None] * height + y[:, None]
    index = plane[..., None] * width + x[:, None, None]
    rows = voxels(maps).index_select(0, index.flatten())
    return rows.view(*index.shape, -1).permute(0, 4, 1, 2, 3)
