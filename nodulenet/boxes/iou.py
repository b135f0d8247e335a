"""Intersection over union of boxes."""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from nodulenet.boxes.dispatch import checked_boxes, dispatch, many_threads

PARALLEL_PAIRS = 200_000
HIGH, VOLUME = 3, 6
"""Columns of `box_corners`: after three low corners three high ones, and the volume."""


def iou_matrix(a: Any, b: Any) -> Any:
    """Intersection over union of every box of `a` with every box of `b`.

    a: (N, 6), b: (M, 6) float32 rows (z, y, x, d, h, w), voxel; NumPy arrays or torch tensors.
    Returns (N, M) float32, of the type and on the device of `a`; 0 for two boxes without volume.
    Raises `ValueError` for a wrong shape, a value that is not finite or a negative side.
    """

    def on_cuda(a: Any, b: Any) -> Any:
        from nodulenet.boxes.cuda import iou_matrix_cuda

        return iou_matrix_cuda(a, b)

    return dispatch(_iou_matrix_cpu, on_cuda, a, b)


def _iou_matrix_cpu(a: NDArray, b: NDArray) -> NDArray[np.float32]:
    corners_a = box_corners(checked_boxes(a, "a"))
    corners_b = np.ascontiguousarray(box_corners(checked_boxes(b, "b")).T)
    out = np.empty((len(a), len(b)), np.float32)
    if out.size >= PARALLEL_PAIRS and many_threads():
        _fill_parallel(corners_a, corners_b, out)
    else:
        _fill_serial(corners_a, corners_b, out)
    return out


@njit(cache=True, nogil=True)
def box_corners(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes (N, 6) -> rows (low z, y, x, high z, y, x, volume), float32 (N, 7).

    The volume is that between the rounded corners, so that a box has IoU 1 with itself.
    """
    rows = np.empty((len(boxes), 7), np.float32)
    for i in range(len(boxes)):
        set_corners(boxes[i], rows[i])
    return rows


@njit(cache=True, nogil=True)
def set_corners(box: NDArray, row: NDArray) -> None:
    """Write one box (6,) as a row of `box_corners`."""
    volume = np.float32(1)
    for axis in range(3):
        half = box[axis + 3] * np.float32(0.5)
        row[axis], row[axis + HIGH] = box[axis] - half, box[axis] + half
        volume *= row[axis + HIGH] - row[axis]
    row[VOLUME] = volume


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def pair_iou(a: NDArray, i: int, b: NDArray, j: int) -> np.float32:
    """IoU of row `i` of the corners `a` and row `j` of `b`, all in float32."""
    overlap = np.float32(1)
    for axis in range(3):
        side = min(a[i, axis + HIGH], b[j, axis + HIGH]) - max(a[i, axis], b[j, axis])
        if side <= 0:
            return np.float32(0)
        overlap *= side
    # The product of non-zero sides may underflow to zero.
    return overlap / (a[i, VOLUME] + b[j, VOLUME] - overlap) if overlap != 0 else np.float32(0)


@njit(cache=True, nogil=True, error_model="numpy")
def row_iou(row: NDArray, columns: NDArray, out: NDArray) -> None:
    """`pair_iou` of one row with `columns` (7, M), without branches so that it vectorises."""
    zero = np.float32(0)
    z0, y0, x0, z1, y1, x1, volume = row[0], row[1], row[2], row[3], row[4], row[5], row[6]
    for j in range(columns.shape[1]):
        d = max(min(z1, columns[3, j]) - max(z0, columns[0, j]), zero)
        h = max(min(y1, columns[4, j]) - max(y0, columns[1, j]), zero)
        w = max(min(x1, columns[5, j]) - max(x0, columns[2, j]), zero)
        overlap = d * h * w
        iou = overlap / (volume + columns[6, j] - overlap)
        out[j] = iou if overlap > zero else zero


@njit(cache=True, nogil=True)
def _fill_serial(a: NDArray, b: NDArray, out: NDArray) -> None:
    for i in range(len(a)):
        row_iou(a[i], b, out[i])


# Two functions rather than one compiled twice: Numba's cache does not distinguish their options.
@njit(cache=True, nogil=True, parallel=True)
def _fill_parallel(a: NDArray, b: NDArray, out: NDArray) -> None:
    for i in prange(len(a)):
        row_iou(a[i], b, out[i])
