"""The anchors of candidate screening, and the coding of boxes as offsets from anchors.

Ren et al., Faster R-CNN, NeurIPS 2015, extended to three dimensions: centre offsets in anchor
sides, sizes as logarithms of ratios. Boxes are rows (z, y, x, d, h, w) in voxels.
"""

from functools import lru_cache

import torch
from torch import Tensor

ANCHOR_SIDES = (5.0, 10.0, 20.0, 30.0, 50.0)
"""Sides in voxels, in the order of the head's channels."""

STRIDE = 4
"""Voxels of the image along one side of a voxel of enc2 and dec2, where the anchors are."""


@lru_cache(maxsize=32)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Values (n,) float32 on a device, uploaded once."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=2)
def anchor_grid(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """All anchors of a feature map of `shape` (z, y, x): (N, 6), not to be changed."""
    count = len(ANCHOR_SIDES) * shape[0] * shape[1] * shape[2]
    return anchors_at(torch.arange(count, device=device), shape)


def anchors_at(index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The anchors (n, 6) of a feature map of `shape` (z, y, x) with the given numbers (n,).

    Cubes, centred at 1.5 + 4 i; numbers run over z, y, x and then the sides, as the head's
    outputs do.
    """
    cell = index // len(ANCHOR_SIDES)
    row = cell // shape[2]
    place = torch.stack([row // shape[1], row % shape[1], cell % shape[2]], 1)
    side = constant(ANCHOR_SIDES, index.device)[index % len(ANCHOR_SIDES)]
    return torch.cat([place * float(STRIDE) + (STRIDE - 1) / 2, side[:, None].expand(-1, 3)], 1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes and anchors, both (..., 6) -> deltas: centre offset / anchor side, log(side / anchor
    side)."""
    sides = anchors[..., 3:]
    offsets = (boxes[..., :3] - anchors[..., :3]) / sides
    return torch.cat([offsets, (boxes[..., 3:] / sides).log()], -1)


def decode(deltas: Tensor, anchors: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `encode`: deltas and anchors (..., 6) -> boxes (..., 6).

    The centres, but not the sides, are clipped to a volume of `shape` (z, y, x).
    """
    sides = anchors[..., 3:]
    last = constant(tuple(n - 1.0 for n in shape), deltas.device)
    centres = (anchors[..., :3] + deltas[..., :3] * sides).clamp(min=0).minimum(last)
    return torch.cat([centres, deltas[..., 3:].exp() * sides], -1)
