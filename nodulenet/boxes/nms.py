"""Greedy non-maximum suppression."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.boxes.dispatch import checked_boxes, dispatch
from nodulenet.boxes.ranking import falling, score_bits
from nodulenet.boxes.suppress import suppress


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

    def on_cuda(boxes: Any, scores: Any) -> Any:
        from nodulenet.boxes.cuda import nms_cuda

        return nms_cuda(boxes, scores, threshold)

    return dispatch(lambda b, s: _nms_cpu(b, s, threshold), boxes, scores, cuda=on_cuda)


def _nms_cpu(boxes: NDArray, scores: NDArray, threshold: np.float32) -> NDArray[np.int64]:
    boxes = checked_boxes(boxes, "boxes")
    if scores.dtype != np.float32:
        scores = np.asarray(scores, np.float64)
    if scores.shape != (len(boxes),):
        raise ValueError(f"scores: expected shape ({len(boxes)},), got {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores: a value is NaN")
    return suppress(boxes, falling(score_bits(scores)), threshold)
