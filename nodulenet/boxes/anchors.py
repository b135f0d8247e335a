"""The anchors of candidate screening, and the coding of boxes as offsets from anchors.

Ren et al., Faster R-CNN, NeurIPS 2015, extended to three dimensions: centre offsets in anchor
sides, sizes as logarithms of ratios. Boxes are rows (z, y, x, d, h, w) in voxels.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.boxes.dispatch import checked_boxes, dispatch

ANCHOR_SIDES = (5.0, 10.0, 20.0, 30.0, 50.0)
"""Sides in voxels, in the order of the head's channels."""

STRIDE = 4


def anchor_grid(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Anchors of a feature map of `shape` (z, y, x): (N, 6), cubes.

    Centres lie at 1.5 + 4 i; rows run over z, y, x and then the sides, as the head's outputs do.
    """
    axes = [(STRIDE - 1) / 2 + STRIDE * np.arange(n, dtype=np.float32) for n in shape]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    anchors = np.empty((len(centres), len(ANCHOR_SIDES), 6), np.float32)
    anchors[..., :3] = centres[:, None]
    anchors[..., 3:] = np.array(ANCHOR_SIDES)[:, None]
    return anchors.reshape(-1, 6)


def encode(boxes: Any, anchors: Any) -> Any:
    """Boxes and anchors, both (N, 6) -> deltas (N, 6): centre offset / anchor side, log(side /
    anchor side).

    float32, of the type and on the device of `boxes`. Raises `ValueError` for a wrong shape, a
    value that is not finite or a side that is not positive.
    """
    return dispatch(_encode_cpu, boxes, anchors)


def decode(deltas: Any, anchors: Any, shape: tuple[int, ...] | None = None) -> Any:
    """The inverse of `encode`: deltas and anchors (N, 6) -> boxes (N, 6), float32.

    With `shape` (z, y, x) the centres, but not the sides, are clipped to the volume,
    [0, size - 1]. Raises `ValueError` for a wrong shape, a NaN or an anchor's side that is not
    positive.
    """
    limits = np.full(3, np.inf) if shape is None else np.asarray(shape, float) - 1
    lowest = -np.inf if shape is None else 0.0
    return dispatch(lambda d, a: _decode_cpu(d, a, lowest, limits), deltas, anchors)


def _encode_cpu(boxes: NDArray, anchors: NDArray) -> NDArray[np.float32]:
    return _encode(_with_sides(boxes, "boxes"), _checked_anchors(anchors, boxes.shape))


def _decode_cpu(
    deltas: NDArray, anchors: NDArray, lowest: float, limits: NDArray
) -> NDArray[np.float32]:
    deltas = np.ascontiguousarray(deltas, np.float32)
    anchors = _checked_anchors(anchors, deltas.shape)
    if np.isnan(deltas).any():
        raise ValueError("deltas: a value is NaN")
    return _decode(deltas, anchors, np.float32(lowest), limits.astype(np.float32))


def _with_sides(boxes: NDArray, name: str) -> NDArray[np.float32]:
    boxes = checked_boxes(boxes, name)
    if (boxes[:, 3:] == 0).any():
        raise ValueError(f"{name}: a side is zero")
    return boxes


def _checked_anchors(anchors: NDArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
    anchors = _with_sides(anchors, "anchors")
    if anchors.shape != shape:
        raise ValueError(f"shape {shape} does not fit the anchors' {anchors.shape}")
    return anchors


@njit(cache=True, nogil=True)
def _encode(boxes: NDArray, anchors: NDArray) -> NDArray:
    deltas = np.empty_like(boxes)
    for i in range(len(boxes)):
        for axis in range(3):
            side = anchors[i, axis + 3]
            deltas[i, axis] = (boxes[i, axis] - anchors[i, axis]) / side
            deltas[i, axis + 3] = math.log(boxes[i, axis + 3] / side)
    return deltas


@njit(cache=True, nogil=True)
def _decode(deltas: NDArray, anchors: NDArray, lowest: np.float32, limits: NDArray) -> NDArray:
    boxes = np.empty_like(deltas)
    for i in range(len(deltas)):
        for axis in range(3):
            side = anchors[i, axis + 3]
            centre = anchors[i, axis] + deltas[i, axis] * side
            boxes[i, axis] = min(max(centre, lowest), limits[axis])
            boxes[i, axis + 3] = math.exp(deltas[i, axis + 3]) * side
    return boxes
