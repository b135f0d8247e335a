"""Greedy non-maximum suppression."""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from nodulenet.boxes.dispatch import checked_boxes, dispatch, many_threads
from nodulenet.boxes.iou import corners, pair_iou

PARALLEL_BOXES = 4096
BLOCK = 1024


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Keep the best box, drop those that overlap it, and so on with what is left.

    boxes: (N, 6) float32 rows (z, y, x, d, h, w), voxel; scores: (N,); NumPy arrays or torch
    tensors. Boxes are taken by falling score, equal scores in index order; a box falls if its IoU
    with a kept one is >= `iou_threshold` (float32 against float32). Returns the kept indices,
    int64, by falling score, of the kind and on the device of `boxes`. Raises `ValueError` for a
    wrong shape, a box that is not finite or has a negative side, a score or threshold that is NaN.
    """
    if np.isnan(iou_threshold):
        raise ValueError("iou_threshold is NaN")
    threshold = np.float32(iou_threshold)
    return dispatch(lambda b, s: _nms_cpu(b, s, threshold), boxes, scores)


def _nms_cpu(boxes: NDArray, scores: NDArray, threshold: np.float32) -> NDArray[np.int64]:
    boxes = checked_boxes(boxes, "boxes")
    scores = np.asarray(scores, np.float64)
    if scores.shape != (len(boxes),):
        raise ValueError(f"scores: expected shape ({len(boxes)},), got {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores: a value is NaN")
    order = np.argsort(-scores, kind="stable")
    ranked = corners(boxes[order])
    parallel = len(ranked) >= PARALLEL_BOXES and many_threads()
    kept = _keep_parallel(ranked, threshold) if parallel else _keep_serial(ranked, threshold)
    return order[kept].astype(np.int64)


@njit(cache=True, nogil=True)
def _stands(
    ranked: NDArray, candidate: int, kept: NDArray, first: int, last: int, threshold: np.float32
) -> bool:
    """Whether the candidate overlaps none of the boxes kept[first:last]."""
    for k in range(first, last):  # noqa: SIM110 - Numba compiles no generator expression
        if pair_iou(ranked[kept[k]], ranked[candidate]) >= threshold:
            return False
    return True


@njit(cache=True, nogil=True)
def _keep_serial(ranked: NDArray, threshold: np.float32) -> NDArray:
    kept = np.empty(len(ranked), np.int64)
    count = 0
    for candidate in range(len(ranked)):
        if _stands(ranked, candidate, kept, 0, count, threshold):
            kept[count] = candidate
            count += 1
    return kept[:count]


@njit(cache=True, nogil=True, parallel=True)
def _keep_parallel(ranked: NDArray, threshold: np.float32) -> NDArray:
    """As `_keep_serial`: a block is tested at once against all kept before it, then in order
    against those kept within it, so the result is the same to the last index."""
    kept = np.empty(len(ranked), np.int64)
    standing = np.empty(BLOCK, np.bool_)
    count = 0
    for start in range(0, len(ranked), BLOCK):
        size = min(BLOCK, len(ranked) - start)
        before = count
        for i in prange(size):
            standing[i] = _stands(ranked, start + i, kept, 0, before, threshold)
        for i in range(size):
            if standing[i] and _stands(ranked, start + i, kept, before, count, threshold):
                kept[count] = start + i
                count += 1
    return kept[:count]
