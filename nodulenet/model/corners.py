"""Corners of a box in voxels: RoIs in the feature maps, and SR crops in the image."""

from typing import Literal

import torch
from torch import Tensor

from nodulenet.boxes.anchors import STRIDE, constant


def low_and_high(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (..., 6) -> lower and upper corners (..., 3): centre - and + side / 2, in voxels."""
    half = boxes[..., 3:] / 2
    return boxes[..., :3] - half, boxes[..., :3] + half


def roi_corners(boxes: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Boxes (..., 6) in image voxels -> half-open RoIs (..., 3) in a feature map of `shape`."""
    lower, upper = (corner / STRIDE for corner in low_and_high(boxes))
    return clipped(lower.floor(), upper.ceil(), shape, 1)


def sr_corners(
    boxes: Tensor, shape: tuple[int, ...], snap: Literal["outward", "truncate"]
) -> tuple[Tensor, Tensor]:
    """Boxes (..., 6) -> half-open crops (..., 3) of an image of `shape`, at multiples of 4 voxels.

    outward: floor and ceil to multiples of 4; truncate: corners become integers first. A crop
    that clipping empties is widened to 4 voxels.
    """
    lower, upper = low_and_high(boxes)
    if snap == "truncate":
        lower, upper = lower.trunc(), upper.trunc()
    return clipped(
        (lower / STRIDE).floor() * STRIDE, (upper / STRIDE).ceil() * STRIDE, shape, STRIDE
    )


def clipped(
    lower: Tensor, upper: Tensor, shape: tuple[int, ...], least: int
) -> tuple[Tensor, Tensor]:
    """Corners (..., 3), int64, within `shape` and at least `least` apart."""
    end = constant(tuple(map(float, shape)), lower.device)
    low = torch.minimum(lower.clamp(min=0), end - least)
    high = torch.minimum(torch.maximum(upper, low + least), end)
    return low.long(), high.long()
