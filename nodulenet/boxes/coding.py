"""Coding of boxes as offsets from anchors.

Ren et al., Faster R-CNN, NeurIPS 2015, carried to three dimensions: centre offsets in anchor
sides, sizes as logarithms of ratios.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.boxes.dispatch import checked_boxes, dispatch


def encode(boxes: Any, anchors: Any) -> Any:
    """Boxes against anchors, both (N, 6) rows (z, y, x, d, h, w) in voxels -> deltas (N, 6).

    A delta is (centre offset / anchor side, log(side / anchor side)), float32, of the kind and on
    the device of `boxes`. Raises `ValueError` for a wrong shape, a value that is not finite or a
    side that is not positive.
    """
    return dispatch(_encode_cpu, boxes, anchors)


def decode(deltas: Any, anchors: Any, shape: tuple[int, ...] | None = None) -> Any:
    """The inverse of `encode`: deltas and anchors (N, 6) -> boxes (N, 6) in voxels, float32.

    With `shape` (z, y, x) the centres are clipped to the volume, [0, size - 1]; sides stay as they
    are. Raises `ValueError` for a wrong shape, a NaN or an anchor's side that is not positive.
    """
    limits = np.full(3, np.inf) if shape is None else np.asarray(shape, float) - 1
    lowest = -np.inf if shape is None else 0.0
    return dispatch(lambda d, a: _decode_cpu(d, a, lowest, limits), deltas, anchors)


def _encode_cpu(boxes: NDArray, anchors: NDArray) -> NDArray[np.float32]:
    boxes, anchors = _with_sides(boxes, "boxes"), _with_sides(anchors, "anchors")
    _check_alike(boxes, anchors)
    return _encode(boxes, anchors)


def _decode_cpu(
    deltas: NDArray, anchors: NDArray, lowest: float, limits: NDArray
) -> NDArray[np.float32]:
    deltas, anchors = np.ascontiguousarray(deltas, np.float32), _with_sides(anchors, "anchors")
    _check_alike(deltas, anchors)
    if np.isnan(deltas).any():
        raise ValueError("deltas: a value is NaN")
    return _decode(deltas, anchors, np.float32(lowest), limits.astype(np.float32))


def _with_sides(boxes: NDArray, name: str) -> NDArray[np.float32]:
    boxes = checked_boxes(boxes, name)
    if (boxes[:, 3:] == 0).any():
        raise ValueError(f"{name}: a side is zero")
    return boxes


def _check_alike(first: NDArray, anchors: NDArray) -> None:
    if first.shape != anchors.shape:
        raise ValueError(f"shape {first.shape} does not fit the anchors' {anchors.shape}")


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
