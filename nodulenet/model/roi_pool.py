"""Features of boxes: their maxima on a 7x7x7 grid, and crops of one size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from nodulenet.boxes.roi import ROI_SIDE, roi_gradient, roi_maxima
from nodulenet.model.corners import roi_corners


class _Maxima(torch.autograd.Function):
    """`roi_maxima` of features (batch, C, z, y, x), with its gradient."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, items: Tensor, low: Tensor, high: Tensor) -> Tensor:
        maps = features.float().permute(0, 2, 3, 4, 1).contiguous()
        maxima, voxels = roi_maxima(maps, items.contiguous(), low, high)
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


class CropGroup(NamedTuple):
    """Crops of one size (z, y, x), in voxels of the image; places: (n, 4) int64, batch item and
    lower corner of each."""

    size: tuple[int, ...]
    places: NDArray[np.int64]


def cut(maps: Tensor, groups: Sequence[CropGroup], step: int) -> list[Tensor]:
    """The crops of each group from maps (batch, C, z, y, x) at 1/`step` of the image's resolution:
    (n, C, z, y, x).

    One gather for all of them, whose backward pass is one sum, instead of a gradient of the whole
    map per crop.
    """
    indices = [indices_of(group, tuple(maps.shape[2:]), step) for group in groups]
    whole = np.concatenate([index.ravel() for index in indices])
    rows = voxels(maps).index_select(0, torch.from_numpy(whole).to(maps.device, non_blocking=True))
    parts = rows.split([index.size for index in indices])
    return [
        part.view(*index.shape, -1).permute(0, 4, 1, 2, 3)
        for part, index in zip(parts, indices, strict=True)
    ]


def indices_of(group: CropGroup, shape: tuple[int, ...], step: int) -> NDArray[np.int64]:
    """Where the voxels of a group's crops lie in the rows of maps of `shape`: (n, z, y, x)."""
    items, *low = group.places.T
    z, y, x = (
        start[:, None] // step + np.arange(side // step)
        for start, side in zip(low, group.size, strict=True)
    )
    plane = (items[:, None] * shape[0] + z)[:, :, None] * shape[1] + y[:, None]
    return plane[..., None] * shape[2] + x[:, None, None]
