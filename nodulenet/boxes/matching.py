"""Which truth box each box of a batch belongs to, without a matrix of their overlaps."""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes.dispatch import dispatch
from nodulenet.boxes.iou import box_corners, pair_iou

NEGATIVE, IGNORED = -1, -2
"""Labels of a box without a truth box: too little overlap with all, or an IoU between the
thresholds."""


def match(
    boxes: Tensor, truth: Tensor, positive_iou: float, negative_iou: float, best: bool = False
) -> Tensor:
    """Match the boxes of every crop of a batch with its truth boxes.

    boxes: (B, N, 6), or (1, N, 6) for the same in every crop; truth: (B, T, 6) with zeros as
    padding, both float32 (z, y, x, d, h, w) in voxels. best: a truth box that no box overlaps
    enough takes the best ones (all that tie). Returns (B, N) int64: the truth box with the highest
    IoU of at least `positive_iou`, `NEGATIVE` where the IoU with all is below `negative_iou`,
    otherwise `IGNORED`. Source: Ren et al., Faster R-CNN, NeurIPS 2015.
    """
    thresholds = np.float32(positive_iou), np.float32(negative_iou)

    def on_cuda(boxes: Tensor, truth: Tensor) -> Tensor:
        from nodulenet.boxes.cuda import match_cuda

        return match_cuda(boxes, truth, thresholds, best)

    return dispatch(lambda b, t: _match_cpu(b, t, *thresholds, best), on_cuda, boxes, truth)


@njit(cache=True, nogil=True)
def _match_cpu(
    boxes: NDArray, truth: NDArray, positive: np.float32, negative: np.float32, best: bool
) -> NDArray[np.int64]:
    labels = np.empty((len(truth), boxes.shape[1]), np.int64)
    corners = box_corners(boxes[0])
    for crop in range(len(truth)):
        if crop > 0 and len(boxes) > 1:
            corners = box_corners(boxes[crop])
        truths = box_corners(truth[crop])
        least = np.full(len(truths), positive, np.float32)
        if best:
            for t in range(len(truths)):
                highest = np.float32(0)
                for i in range(len(corners)):
                    highest = max(highest, pair_iou(corners, i, truths, t))
                least[t] = min(highest, positive)
        for i in range(len(corners)):
            labels[crop, i] = _label(corners, i, truths, least, negative)
    return labels


@njit(cache=True, nogil=True, forceinline=True)
def _label(corners: NDArray, i: int, truths: NDArray, least: NDArray, negative: np.float32) -> int:
    """What `match` says of a box. least: (T,) the IoU from which each truth box takes it."""
    found, of_found, highest = IGNORED, np.float32(0), np.float32(0)
    for t in range(len(truths)):
        iou = pair_iou(corners, i, truths, t)
        highest = max(highest, iou)
        if iou > of_found and iou >= least[t]:
            found, of_found = t, iou
    return NEGATIVE if found == IGNORED and highest < negative else found
