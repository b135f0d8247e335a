"""Intersection over union of boxes."""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from nodulenet.boxes.dispatch import checked_boxes, dispatch, many_threads

PARALLEL_PAIRS = 200_000


def iou_matrix(a: Any, b: Any) -> Any:
    """Intersection over union of every box of `a` with every box of `b`.

    a: (N, 6), b: (M, 6) float32 rows (z, y, x, d, h, w), voxel; NumPy arrays or torch tensors.
    Returns (N, M) float32, of the kind and on the device of `a`. Two boxes without volume have
    0. Raises `ValueError` for a wrong shape, a value that is not finite or a negative side.
    """
    return dispatch(_iou_matrix_cpu, a, b)


def _iou_matrix_cpu(a: NDArray, b: NDArray) -> NDArray[np.float32]:
    corners_a, corners_b = corners(checked_boxes(a, "a")), corners(checked_boxes(b, "b"))
    out = np.empty((len(corners_a), len(corners_b)), np.float32)
    if out.size >= PARALLEL_PAIRS and many_threads():
        _fill_parallel(corners_a, corners_b, out)
    else:
        _fill_serial(corners_a, corners_b, out)
    return out


def corners(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes (N, 6) -> rows (low z, y, x, high z, y, x, volume), float32 (N, 7).

    The volume is that between the rounded corners, so that a box has IoU 1 with itself.
    """
    half = boxes[:, 3:] * np.float32(0.5)
    low, high = boxes[:, :3] - half, boxes[:, :3] + half
    side = high - low
    volume = side[:, 0] * side[:, 1] * side[:, 2]
    return np.concatenate([low, high, volume[:, None]], axis=1)


@njit(cache=True, nogil=True)
def pair_iou(a: NDArray, b: NDArray) -> np.float32:
    """IoU of two rows of `corners`, in float32 throughout."""
    overlap = np.float32(1)
    for axis in range(3):
        side = min(a[axis + 3], b[axis + 3]) - max(a[axis], b[axis])
        if side <= 0:
            return np.float32(0)
        overlap *= side
    return overlap / (a[6] + b[6] - overlap)


@njit(cache=True, nogil=True)
def _fill_serial(a: NDArray, b: NDArray, out: NDArray) -> None:
    for i in range(len(a)):
        for j in range(len(b)):
            out[i, j] = pair_iou(a[i], b[j])


# Two functions and not one compiled twice: Numba's cache does not tell their options apart.
@njit(cache=True, nogil=True, parallel=True)
def _fill_parallel(a: NDArray, b: NDArray, out: NDArray) -> None:
    for i in prange(len(a)):
        for j in range(len(b)):
            out[i, j] = pair_iou(a[i], b[j])
