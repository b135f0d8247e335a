"""Features of boxes: their maxima on a 7x7x7 grid, and crops of one size."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nodulenet.boxes.roi import ROI_SIDE, roi_gradient, roi_maxima
from nodulenet.model.corners import roi_corners


class _Maxima(torch.autograd.Function):
    """`roi_maxima` of features (batch, C, z, y, x), with its gradient."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, items: Tensor, low: Tensor, high: Tensor) -> Tensor:
        maps = features.float().permute(0, 2, 3, 4, 1).contiguous()
        maxima, voxels = roi_maxima(maps, items, low, high)
        ctx.save_for_backward(voxels)
        ctx.shape, ctx.kind = maps.shape, features.dtype
        return maxima

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (voxels,) = ctx.saved_tensors
        rows = roi_gradient(gradient.float().contiguous(), voxels, ctx.shape[:4].numel())
        return rows.view(ctx.shape).permute(0, 4, 1, 2, 3).to(ctx.kind), None, None, None


def roi_pool(features: Tensor, items: Tensor, boxes: Tensor) -> Tensor:
    """Adaptive max-pooling of all boxes to 7x7x7.

    features: (batch, C, z, y, x) at 1/4; items: (N,) batch index; boxes: (N, 6) image voxels.
    Returns (N, C, 7, 7, 7) float32. Gradients are summed in float32: boxes may share a maximum.
    """
    low, high = roi_corners(boxes, tuple(features.shape[2:]))
    maxima: Tensor = _Maxima.apply(features, items, low, high)
    return maxima.unflatten(2, (ROI_SIDE,) * 3)


def voxels(maps: Tensor) -> Tensor:
    """Maps (batch, C, z, y, x) as rows of channels (voxels, C); no copy if they are channels
    last."""
    return maps.permute(0, 2, 3, 4, 1).reshape(-1, maps.shape[1])


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
