"""Holds the CUDA kernels to the CPU in Numba's simulator; run as a script by `test_cuda.py`.

The simulator is chosen before Numba is imported, so it has a process of its own. Tensors lie in
main memory there: the kernels see them as NumPy arrays that share it.
"""

import os
import re

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import numpy as np
import pytest
import torch

from nodulenet.boxes import iou_matrix, nms
from nodulenet.boxes.cuda import Launch, iou_matrix_on, nms_on

SIZES = (0, 1, 63, 64, 65, 257)
SIMULATED = Launch(0, lambda tensor, kind: tensor.numpy().view(kind))


def crowd(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes on a coarse lattice, so that overlaps hit thresholds exactly, and scores with ties."""
    rng = np.random.default_rng(seed)
    centre = rng.integers(0, 24, (count, 3))
    boxes = np.concatenate([centre, rng.integers(0, 9, (count, 3))], axis=1) * 0.37
    scores = rng.integers(-8, 8, count) / 8
    return torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(scores)


def check_nms(count: int, threshold: float, chunk: int) -> None:
    boxes, scores = crowd(count, count)
    kept = nms_on(SIMULATED, boxes, scores, np.float32(threshold), chunk)
    assert kept.dtype == torch.int64
    assert kept.tolist() == nms(boxes, scores, threshold).tolist(), (count, threshold, chunk)


def check_iou(rows: int, columns: int) -> None:
    a, b = crowd(rows, 1)[0], crowd(columns, 2)[0]
    result = iou_matrix_on(SIMULATED, a, b)
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(result.numpy(), iou_matrix(a.numpy(), b.numpy()))


def check_fault(boxes: torch.Tensor, scores: torch.Tensor, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)), np.errstate(invalid="ignore"):
        nms_on(SIMULATED, boxes, scores, np.float32(0.1))


def check_faults() -> None:
    boxes, scores = crowd(3, 0)
    wrong = boxes.clone()
    wrong[1, 4] = -1
    check_fault(wrong, scores, "boxes: a side is negative")
    wrong[2, 0] = torch.inf
    check_fault(wrong, scores, "boxes: a value is not finite")
    check_fault(boxes, torch.tensor([0.5, torch.nan, 1]), "scores: a value is NaN")
    check_fault(boxes[:, :5], scores, "boxes: expected shape (N, 6), got (3, 5)")
    check_fault(boxes, scores[:2], "scores: expected shape (3,), got (2,)")


if __name__ == "__main__":
    for size in SIZES:
        check_nms(size, 0.1, 4096)
    check_nms(130, 0.1, 64)
    for threshold in (0.0, 1 / 3):
        check_nms(30, threshold, 64)
    for rows, columns in ((0, 65), (63, 0), (1, 64), (65, 65), (257, 1)):
        check_iou(rows, columns)
    check_faults()
    print("as the CPU")
