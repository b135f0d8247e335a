"""Greedy non-maximum suppression (NMS)."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes.dispatch import checked_boxes, dispatch
from nodulenet.boxes.suppress import suppress


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Keep the best box, suppress those that overlap it, and so on with the rest.

    boxes: (N, 6) float32 rows (z, y, x, d, h, w), voxel; scores: (N,); NumPy arrays or torch
    tensors. Boxes are taken in descending order of score, ties in index order; a box is suppressed
    if its IoU with a kept one is >= `iou_threshold` (float32 against float32). Returns the kept
    indices, int64, in that order, of the type and on the device of `boxes`. Raises `ValueError`
    for a wrong shape, a box that is not finite or has a negative side, and a NaN.
    """
    if np.isnan(iou_threshold):
        raise ValueError("iou_threshold is NaN")
    threshold = np.float32(iou_threshold)

    def on_cuda(boxes: Any, scores: Any) -> Any:
        from nodulenet.boxes.cuda import nms_cuda

        return nms_cuda(boxes, scores, threshold)

    return dispatch(lambda b, s: _nms_cpu(b, s, threshold), on_cuda, boxes, scores)


def batched_nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, above: float, most: int
) -> Tensor:
    """For each crop, the first `most` boxes that `nms` keeps of those scoring above `above`.

    boxes: (B, N, 6) finite, with sides that are not negative; scores: (B, N) float32. Returns
    (B, `most`) int64: indices of boxes by descending score, padded with -1.
    """
    threshold = np.float32(iou_threshold)

    def on_cuda(boxes: Tensor, scores: Tensor) -> Tensor:
        from nodulenet.boxes.cuda import batched_nms_cuda

        return batched_nms_cuda(boxes, scores, threshold, above, most)

    def on_cpu(boxes: NDArray, scores: NDArray) -> NDArray[np.int64]:
        first = np.full((len(boxes), most), -1)
        for crop, row in enumerate(scores):
            likely = np.flatnonzero(row > above)
            order = descending_order(score_bits(row[likely]))
            kept = likely[suppress(boxes[crop][likely], order, threshold)[:most]]
            first[crop, : len(kept)] = kept
        return first

    return dispatch(on_cpu, on_cuda, boxes, scores)


def _nms_cpu(boxes: NDArray, scores: NDArray, threshold: np.float32) -> NDArray[np.int64]:
    boxes = checked_boxes(boxes, "boxes")
    if scores.dtype != np.float32:
        scores = np.asarray(scores, np.float64)
    if scores.shape != (len(boxes),):
        raise ValueError(f"scores: expected shape ({len(boxes)},), got {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores: a value is NaN")
    return suppress(boxes, descending_order(score_bits(scores)), threshold)


def score_bits(scores: NDArray) -> NDArray:
    """Scores (N,) float32 or float64 as the unsigned integers of their bits, -0 as 0."""
    return (scores + scores.dtype.type(0)).view(f"u{scores.itemsize}")


@njit(cache=True, nogil=True)
def descending_order(bits: NDArray) -> NDArray:
    """Indices int32 (N,) that sort the scores behind `bits` in descending order, ties by index.

    A stable radix sort, which NumPy has only for short integers: one byte after another, the
    lowest first; a byte that all share costs no pass.
    """
    items = _ascending_keys(bits), np.arange(len(bits)).astype(np.int32)
    spare = np.empty_like(bits), np.empty(len(bits), np.int32)
    counts = _byte_counts(items[0])
    for byte in range(bits.itemsize):
        if counts[byte].max() < len(bits):
            _scatter(items, spare, counts[byte], byte)
            items, spare = spare, items
    return items[1]


@njit(cache=True, nogil=True)
def _ascending_keys(bits: NDArray) -> NDArray:
    """Unsigned integers in the reverse order of the floats behind `bits`."""
    keys = np.empty_like(bits)
    zero = bits.dtype.type(0)
    top = bits.dtype.type(8 * bits.itemsize - 1)
    low_mask = ~zero >> bits.dtype.type(1)
    for i in range(len(bits)):
        # Bits order positive floats ascending and negative ones, sign bit included, descending.
        keys[i] = bits[i] if bits[i] >> top else bits[i] ^ low_mask
    return keys


@njit(cache=True, nogil=True)
def _byte_counts(keys: NDArray) -> NDArray:
    counts = np.zeros((keys.itemsize, 256), np.int32)
    for i in range(len(keys)):
        for byte in range(keys.itemsize):
            counts[byte, (keys[i] >> keys.dtype.type(8 * byte)) & keys.dtype.type(255)] += 1
    return counts


@njit(cache=True, nogil=True)
def _scatter(
    items: tuple[NDArray, NDArray], into: tuple[NDArray, NDArray], counts: NDArray, byte: int
) -> None:
    """Write keys and order, sorted by one byte of the keys, `into` other arrays."""
    keys, order = items
    into_keys, into_order = into
    place = np.empty(256, np.int32)
    start = 0
    for value in range(256):
        place[value] = start
        start += counts[value]
    for i in range(len(keys)):
        value = (keys[i] >> keys.dtype.type(8 * byte)) & keys.dtype.type(255)
        into_keys[place[value]], into_order[place[value]] = keys[i], order[i]
        place[value] += 1
