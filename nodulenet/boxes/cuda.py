"""Box operations on CUDA tensors, without copies, on torch's current stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import config, cuda
from torch import Tensor

from nodulenet.boxes import cuda_kernels as kernels
from nodulenet.boxes import cuda_matching as matching
from nodulenet.boxes.dispatch import raise_fault
from nodulenet.boxes.roi import ROI_SIDE

RANK_THREADS = 64

# Numba warns of each launch of few blocks, and most crops have few boxes.
config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


class Launch(NamedTuple):
    """Where kernels run: a stream, and how they see a tensor (as an array of a NumPy type)."""

    stream: Any
    view: Callable[[Tensor, Any], Any]


@contextmanager
def launch_at(device: torch.device) -> Iterator[Launch]:
    """Launches on torch's current stream on a CUDA device."""
    with cuda.gpus[device.index]:
        handle = torch.cuda.current_stream(device).cuda_stream
        stream = cuda.external_stream(handle) if handle else cuda.default_stream()
        yield Launch(stream, lambda tensor, kind: cuda.as_cuda_array(tensor, sync=False).view(kind))


def iou_matrix_cuda(a: Tensor, b: Tensor) -> Tensor:
    """`iou_matrix` of tensors on one CUDA device."""
    with launch_at(a.device) as launch:
        return _iou_matrix(launch, a, b)


def nms_cuda(
    boxes: Tensor,
    scores: Tensor,
    threshold: np.float32,
    chunk: int = kernels.CHUNK_WORDS * kernels.WORD,
) -> Tensor:
    """`nms` of tensors on one CUDA device; the host waits only for the kept indices.

    chunk: a multiple of 64, at most 4,096.
    """
    with launch_at(boxes.device) as launch:
        return _nms(launch, boxes, scores, threshold, chunk)


def batched_nms_cuda(
    boxes: Tensor, scores: Tensor, threshold: np.float32, above: float, most: int
) -> Tensor:
    """`batched_nms` of tensors on one CUDA device; the host does not wait."""
    count = len(boxes)
    likely = scores.float().masked_fill(~(scores > above), -torch.inf)
    ranked, order = likely.sort(dim=1, descending=True, stable=True)
    kept = torch.full((count, most), -1, device=boxes.device)
    if kept.numel() and order.numel():
        rows = torch.empty((count, most, 7), dtype=torch.float32, device=boxes.device)
        with launch_at(boxes.device) as launch:
            kernels.keep_first[count, kernels.LANE_THREADS, launch.stream](
                launch.view(boxes.float().contiguous(), np.float32),
                launch.view(ranked, np.float32),
                launch.view(order, np.int64),
                threshold,
                launch.view(rows, np.float32),
                launch.view(kept, np.int64),
            )
    return kept


def match_cuda(
    boxes: Tensor, truth: Tensor, thresholds: tuple[np.float32, np.float32], best: bool
) -> Tensor:
    """`match` of tensors on one CUDA device."""
    (count, truths), number = truth.shape[:2], boxes.shape[1]
    labels = torch.empty((count, number), dtype=torch.int64, device=boxes.device)
    least = torch.full((count, truths), float(thresholds[0]), device=boxes.device)
    highest = torch.zeros_like(least)
    if not labels.numel():
        return labels
    with launch_at(boxes.device) as launch:
        corners, those_of_truth = (
            launch.view(_corners(launch, x.reshape(-1, 6)).view(*x.shape[:2], 7), np.float32)
            for x in (boxes, truth)
        )
        grid = (_blocks(number, matching.MATCH_THREADS), count)
        shape = grid, matching.MATCH_THREADS, launch.stream
        if best:
            matching.best_of_truth[shape](corners, those_of_truth, launch.view(highest, np.float32))
            least = torch.minimum(least, highest)
        matching.label_all[shape](
            corners,
            those_of_truth,
            launch.view(least, np.float32),
            thresholds[1],
            launch.view(labels, np.int64),
        )
    return labels


def roi_maxima_cuda(
    maps: Tensor, items: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """`roi_maxima` of tensors on one CUDA device."""
    shape = len(items), maps.shape[4], ROI_SIDE**3
    maxima = torch.empty(shape, dtype=torch.float32, device=maps.device)
    voxels = torch.empty(shape, dtype=torch.int32, device=maps.device)
    if maxima.numel():
        with launch_at(maps.device) as launch:
            grid = _blocks(maxima.numel(), matching.ROI_THREADS)
            matching.find_maxima[grid, matching.ROI_THREADS, launch.stream](
                launch.view(maps, np.float32),
                *(launch.view(x.contiguous(), np.int64) for x in (items, low, high)),
                launch.view(maxima, np.float32),
                launch.view(voxels, np.int32),
            )
    return maxima, voxels


def roi_gradient_cuda(gradient: Tensor, voxels: Tensor, count: int) -> Tensor:
    """`roi_gradient` of tensors on one CUDA device; the order of the sums varies."""
    sums = torch.zeros((count, gradient.shape[1]), dtype=torch.float32, device=gradient.device)
    if gradient.numel():
        with launch_at(gradient.device) as launch:
            grid = _blocks(gradient.numel(), matching.ROI_THREADS)
            matching.add_gradient[grid, matching.ROI_THREADS, launch.stream](
                launch.view(gradient, np.float32),
                launch.view(voxels, np.int32),
                launch.view(sums, np.float32),
            )
    return sums


def _iou_matrix(launch: Launch, a: Tensor, b: Tensor) -> Tensor:
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


def _nms(
    launch: Launch, boxes: Tensor, scores: Tensor, threshold: np.float32, chunk: int
) -> Tensor:
    """Chunk by chunk in the order of the scores: a bit mask of the chunk's pairs, the greedy choice
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


def _choose(launch: Launch, ranked: Tensor, threshold: np.float32, chunk: int) -> Tensor:
    """Which of the ranked corners (N, 7) are kept, (N,) bool."""

    def scratch(*shape: int, dtype: torch.dtype) -> Tensor:
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
        kernels.resolve_chunk[1, kernels.LANE_THREADS, stream](mask, start, stop, state, chosen)
        if stop < total:
            grid = _blocks(total - stop, kernels.SPREAD_THREADS)
            kernels.spread_chunk[grid, kernels.SPREAD_THREADS, stream](
                rows, stop, chosen, threshold, state
            )
    return states == kernels.KEPT


def _corners(launch: Launch, boxes: Tensor) -> Tensor:
    """Corners (N, 7) of boxes (N, 6), which are not checked."""
    return _rank_corners(launch, boxes, torch.arange(len(boxes), device=boxes.device))[0]


def _rank_corners(launch: Launch, boxes: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
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


def _check_shape(boxes: Tensor, name: str) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 6:
        raise ValueError(f"{name}: expected shape (N, 6), got {tuple(boxes.shape)}")


def _blocks(items: int, each: int) -> int:
    return -(-items // each)
