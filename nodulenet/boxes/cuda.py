"""IoU and NMS of torch tensors on a CUDA device, without copies, on torch's current stream."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import cuda

from nodulenet.boxes import cuda_kernels as kernels
from nodulenet.boxes.dispatch import raise_fault

CHUNK = 4096
"""Boxes per bit mask: 2 MB, however many boxes there are."""

RANK_THREADS = 64


class Launch(NamedTuple):
    """Where kernels run: a stream, and how they see a tensor (as an array of a NumPy type)."""

    stream: Any
    view: Callable[[torch.Tensor, Any], Any]


def iou_matrix_cuda(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`iou_matrix` of tensors on one CUDA device."""
    with cuda.gpus[a.get_device()]:
        return iou_matrix_on(_current(a.device), a, b)


def nms_cuda(boxes: torch.Tensor, scores: torch.Tensor, threshold: np.float32) -> torch.Tensor:
    """`nms` of tensors on one CUDA device; the host waits only for the kept indices."""
    with cuda.gpus[boxes.get_device()]:
        return nms_on(_current(boxes.device), boxes, scores, threshold)


def iou_matrix_on(launch: Launch, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N, 6) and (M, 6) boxes -> (N, M) float32, as `iou_matrix`."""
    corners, faults = [], []
    for name, boxes in (("a", a), ("b", b)):
        _check_shape(boxes, name)
        order = torch.arange(len(boxes), device=boxes.device)
        ranked, fault = _rank_corners(launch, boxes, order)
        corners.append(ranked)
        faults.append(fault)
    out = torch.empty((len(a), len(b)), dtype=torch.float32, device=a.device)
    if out.numel():
        grid = (_blocks(len(b), kernels.IOU_THREADS), _blocks(len(a), kernels.IOU_ROWS))
        run = kernels.fill_iou[grid, kernels.IOU_THREADS, launch.stream]
        run(*(launch.view(tensor, np.float32) for tensor in (*corners, out)))
    for name, fault in zip("ab", torch.cat(faults).tolist(), strict=True):
        raise_fault(fault, name)
    return out


def nms_on(
    launch: Launch,
    boxes: torch.Tensor,
    scores: torch.Tensor,
    threshold: np.float32,
    chunk: int = CHUNK,
) -> torch.Tensor:
    """Kept indices of boxes (N, 6) and scores (N,), as `nms`; `chunk` is a multiple of 64.

    Chunk by chunk in the order of the scores: a bit mask of the chunk's pairs, the greedy choice
    within it, and what its kept boxes suppress among all later boxes.
    """
    _check_shape(boxes, "boxes")
    if scores.shape != (len(boxes),):
        raise ValueError(f"scores: expected shape ({len(boxes)},), got {tuple(scores.shape)}")
    if not len(boxes):  # an empty tensor has no memory
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    scores = scores if scores.dtype == torch.float32 else scores.double()
    # Adding zero makes -0 a 0, so that the two are ties.
    order = torch.argsort(scores + 0, descending=True, stable=True)
    ranked, fault = _rank_corners(launch, boxes, order)
    kept = order[_choose(launch, ranked, threshold, chunk).nonzero()[:, 0]]
    fault, nan = torch.stack([fault[0].long(), scores.isnan().any().long()]).tolist()
    raise_fault(fault, "boxes")
    if nan:
        raise ValueError("scores: a value is NaN")
    return kept


def _choose(
    launch: Launch, ranked: torch.Tensor, threshold: np.float32, chunk: int
) -> torch.Tensor:
    """Which of the ranked corners (N, 7) are kept, (N,) bool."""

    def scratch(*shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, device=ranked.device)

    total, words = len(ranked), chunk // kernels.WORD
    states = scratch(total, dtype=torch.uint8)
    state = launch.view(states, np.uint8)
    mask = launch.view(scratch(chunk, words, dtype=torch.int64), np.uint64)
    chosen = launch.view(scratch(1 + chunk, dtype=torch.int64), np.int64)
    rows, stream = launch.view(ranked, np.float32), launch.stream
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
        here = _blocks(stop - start, kernels.WORD)
        kernels.mask_chunk[(here, here), kernels.WORD, stream](rows, start, stop, threshold, mask)
        kernels.resolve_chunk[1, kernels.WORD, stream](mask, start, stop, state, chosen)
        if stop < total:
            grid = _blocks(total - stop, kernels.SPREAD_THREADS)
            kernels.spread_chunk[grid, kernels.SPREAD_THREADS, stream](
                rows, stop, chosen, threshold, state
            )
    return states == kernels.KEPT


def _rank_corners(
    launch: Launch, boxes: torch.Tensor, order: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Corners (N, 7) of boxes (N, 6) in `order`, and their fault (1,) int32, not yet read."""
    boxes = boxes.float().contiguous()
    ranked = torch.empty((len(boxes), 7), dtype=torch.float32, device=boxes.device)
    fault = torch.zeros(1, dtype=torch.int32, device=boxes.device)
    if len(boxes):
        grid = _blocks(len(boxes), RANK_THREADS)
        kernels.rank_corners[grid, RANK_THREADS, launch.stream](
            launch.view(boxes, np.float32),
            launch.view(order, np.int64),
            launch.view(ranked, np.float32),
            launch.view(fault, np.int32),
        )
    return ranked, fault


def _check_shape(boxes: torch.Tensor, name: str) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 6:
        raise ValueError(f"{name}: expected shape (N, 6), got {tuple(boxes.shape)}")


def _blocks(items: int, each: int) -> int:
    return -(-items // each)


def _current(device: torch.device) -> Launch:
    """Torch's current stream on the device, and tensors in its memory."""
    handle = torch.cuda.current_stream(device).cuda_stream
    stream = cuda.external_stream(handle) if handle else cuda.default_stream()
    return Launch(stream, lambda tensor, kind: cuda.as_cuda_array(tensor, sync=False).view(kind))
