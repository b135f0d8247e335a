"""CUDA kernels of IoU and NMS, with the CPU's results to the last bit.

GPU compilers fuse a product and a sum into one rounding; `cuda.fma(a, b, 0)` is a product that
they leave alone. Boxes are rows of `nodulenet.boxes.iou.box_corners`, (N, 7) float32.
"""

from typing import Any

import numpy as np
from numba import cuda, float32, int32, uint64

WORD = 64
"""Boxes per word of the bit mask, and threads per block."""

CHUNK_WORDS = 64
"""Words of the longest chunk of `resolve_chunk`: 4,096 boxes, and a bit mask of 2 MB."""

IOU_ROWS, IOU_THREADS = 32, 64
SPREAD_THREADS = 64
LANES = 4
LANE_THREADS = LANES * WORD
ONE, ZERO = np.float32(1), np.float32(0)
KEPT, SUPPRESSED = 1, 2
"""What `state`, (N,) uint8, says of a box; 0: not decided yet."""


@cuda.jit(device=True)
def _iou(a: Any, i: int, b: Any, j: int) -> np.float32:
    overlap = ONE
    for axis in range(3):
        side = min(a[i, axis + 3], b[j, axis + 3]) - max(a[i, axis], b[j, axis])
        if side <= ZERO:
            return ZERO
        overlap = cuda.fma(overlap, side, ZERO)
    if overlap == ZERO:
        return ZERO
    return overlap / (a[i, 6] + b[j, 6] - overlap)


@cuda.jit(device=True)
def _set_corners(box: Any, row: Any) -> None:
    """row (7,) = corners and volume of a box (6,)."""
    volume = ONE
    for axis in range(3):
        half = cuda.fma(box[axis + 3], np.float32(0.5), ZERO)
        low, high = box[axis] - half, box[axis] + half
        row[axis], row[axis + 3] = low, high
        volume = cuda.fma(volume, high - low, ZERO)
    row[6] = volume


@cuda.jit(cache=True)
def rank_corners(boxes: Any, order: Any, ranked: Any, fault: Any) -> None:
    """ranked[i] = corners of boxes[order[i]]; fault[0]: 2 not finite, 1 a negative side, or 0.

    One thread per box.
    """
    i = cuda.grid(1)
    if i >= ranked.shape[0]:
        return
    box = order[i]
    for axis in range(3):
        middle, side = boxes[box, axis], boxes[box, axis + 3]
        # False for infinity and NaN.
        if not (abs(middle) < np.inf and abs(side) < np.inf):
            cuda.atomic.max(fault, 0, 2)
        elif side < ZERO:
            cuda.atomic.max(fault, 0, 1)
    _set_corners(boxes[box], ranked[i])


@cuda.jit(cache=True)
def fill_iou(a: Any, b: Any, out: Any) -> None:
    """out[i, j] = IoU of a[i] and b[j]. Blocks (columns, rows); IOU_ROWS rows per thread."""
    rows = cuda.shared.array((IOU_ROWS, 7), float32)
    first, j = cuda.blockIdx.y * IOU_ROWS, cuda.grid(1)
    count = min(IOU_ROWS, a.shape[0] - first)
    for k in range(cuda.threadIdx.x, count * 7, IOU_THREADS):
        rows[k // 7, k % 7] = a[first + k // 7, k % 7]
    cuda.syncthreads()
    if j < b.shape[0]:
        for i in range(count):
            out[first + i, j] = _iou(rows, i, b, j)


@cuda.jit(cache=True)
def mask_chunk(ranked: Any, start: int, stop: int, threshold: Any, mask: Any) -> None:
    """mask[i, w]: bits of the boxes of word w of ranked[start:stop] that its box i would suppress.

    Blocks (word, row word) of WORD threads; only boxes after i are considered.
    """
    word, thread = cuda.blockIdx.x, cuda.threadIdx.x
    columns = cuda.shared.array((WORD, 7), float32)
    row, first = cuda.blockIdx.y * WORD + thread, word * WORD
    if word < cuda.blockIdx.y:
        return
    if start + first + thread < stop:
        for column in range(7):
            columns[thread, column] = ranked[start + first + thread, column]
    cuda.syncthreads()
    if start + row < stop:
        bits = uint64(0)
        for k in range(min(WORD, stop - start - first)):
            if first + k > row and _iou(columns, k, ranked, start + row) >= threshold:
                bits |= uint64(1) << uint64(k)
        mask[row, word] = bits


@cuda.jit(cache=True)
def resolve_chunk(mask: Any, start: int, stop: int, state: Any, chosen: Any) -> None:
    """Greedy choice within ranked[start:stop]: one block of LANE_THREADS threads.

    state: (N,), what earlier chunks suppressed; set here. chosen: (1 + chunk,) int64: the number of
    kept boxes of this chunk, then their indices into `ranked`. One thread chooses within a word,
    LANES threads per later word collect what the chosen boxes suppress there.
    """
    thread, words = cuda.threadIdx.x, (stop - start + WORD - 1) // WORD
    lane, column = thread // WORD, thread % WORD
    diagonal = cuda.shared.array(WORD, uint64)
    gone = cuda.shared.array(CHUNK_WORDS, uint64)  # bits of the suppressed boxes
    before = cuda.shared.array(CHUNK_WORDS, int32)  # kept boxes of the words before
    total = 0
    if thread < words:
        gone[thread] = uint64(0)
    cuda.syncthreads()
    for i in range(thread, words * WORD, LANE_THREADS):
        if start + i >= stop or state[start + i] == SUPPRESSED:
            cuda.atomic.or_(gone, i // WORD, uint64(1) << uint64(i % WORD))
    for word in range(words):
        if lane == 0:
            diagonal[column] = mask[word * WORD + column, word]
        cuda.syncthreads()
        if thread == 0:
            gone[word] = _suppressed_in_word(diagonal, gone[word])
            before[word] = total
            total += cuda.popc(~gone[word])
        cuda.syncthreads()
        kept = ~gone[word]
        for later in range(word + 1 + column, words, WORD):
            bits = uint64(0)
            for k in range(lane, WORD, LANES):
                # Without a branch, so that the reads do not wait for each other.
                bits |= mask[word * WORD + k, later] & (uint64(0) - (kept >> uint64(k) & uint64(1)))
            if bits != uint64(0):
                cuda.atomic.or_(gone, later, bits)
    for i in range(thread, stop - start, LANE_THREADS):
        kept, bit = ~gone[i // WORD], uint64(1) << uint64(i % WORD)
        state[start + i] = KEPT if kept & bit else SUPPRESSED
        if kept & bit:
            chosen[1 + before[i // WORD] + cuda.popc(kept & (bit - uint64(1)))] = start + i
    if thread == 0:
        chosen[0] = total


@cuda.jit(device=True)
def _suppressed_in_word(diagonal: Any, gone: Any) -> Any:
    """Bits of the suppressed boxes of a word, given those that earlier words suppressed."""
    for k in range(WORD):
        if not (gone >> uint64(k)) & uint64(1):
            gone |= diagonal[k]
    return gone


@cuda.jit(cache=True)
def spread_chunk(ranked: Any, stop: int, chosen: Any, threshold: Any, state: Any) -> None:
    """Mark what the kept boxes of the chunk before `stop` suppress after it.

    One thread per later box.
    """
    rows = cuda.shared.array((SPREAD_THREADS, 7), float32)
    thread = cuda.threadIdx.x
    j = stop + cuda.grid(1)
    survives = j < ranked.shape[0] and state[min(j, ranked.shape[0] - 1)] != SUPPRESSED
    total = chosen[0]
    for first in range(0, total, SPREAD_THREADS):
        # Also the barrier after which the shared rows may be overwritten.
        if cuda.syncthreads_count(np.int32(survives)) == 0:
            break
        if first + thread < total:
            for column in range(7):
                rows[thread, column] = ranked[chosen[1 + first + thread], column]
        cuda.syncthreads()
        k, here = 0, min(SPREAD_THREADS, total - first)
        while survives and k < here:
            survives = not _iou(rows, k, ranked, j) >= threshold
            k += 1
    if j < ranked.shape[0] and not survives:
        state[j] = SUPPRESSED


@cuda.jit(cache=True)
def keep_first(boxes: Any, scores: Any, order: Any, threshold: Any, rows: Any, kept: Any) -> None:
    """Greedy NMS of each crop until kept (B, most) is full. One block of LANE_THREADS per crop.

    boxes: (B, N, 6); scores: (B, N) descending, -inf for boxes that are none; order: (B, N) their
    numbers. rows: (B, most, 7), the corners of the kept boxes. Of every WORD candidates each is
    compared by LANES threads, first with the kept boxes, then with the candidates after it.
    """
    crop = cuda.blockIdx.x
    lane, k = cuda.threadIdx.x // WORD, cuda.threadIdx.x % WORD
    tile = cuda.shared.array((WORD, 7), float32)
    beaten = cuda.shared.array(WORD, uint64)  # bits of the candidates that each would suppress
    gone = cuda.shared.array(1, uint64)
    number = cuda.shared.array(1, int32)
    if cuda.threadIdx.x == 0:
        number[0] = 0
    for first in range(0, order.shape[1], WORD):
        if lane == 0:
            beaten[k] = uint64(0)
        if cuda.threadIdx.x == 0:
            gone[0] = uint64(0)
        cuda.syncthreads()
        found = number[0]
        if found == kept.shape[1] or scores[crop, first] == -np.inf:
            break
        here = first + k < order.shape[1] and scores[crop, first + k] > -np.inf
        if here and lane == 0:
            _set_corners(boxes[crop, order[crop, first + k]], tile[k])
        cuda.syncthreads()
        if here:
            _compare(rows[crop, :found], tile, k, lane, threshold, beaten, gone)
        elif lane == 0:
            cuda.atomic.or_(gone, 0, uint64(1) << uint64(k))
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            out = gone[0]
            for j in range(WORD):
                if found < kept.shape[1] and not (out >> uint64(j)) & uint64(1):
                    out |= beaten[j]
                    kept[crop, found] = order[crop, first + j]
                    for column in range(7):
                        rows[crop, found, column] = tile[j, column]
                    found += 1
            number[0] = found
        cuda.syncthreads()


@cuda.jit(device=True)
def _compare(
    rows: Any, tile: Any, k: int, lane: int, threshold: Any, beaten: Any, gone: Any
) -> None:
    """What one thread finds out about candidate k: suppressed by a row, and what it suppresses."""
    for j in range(lane, rows.shape[0], LANES):
        if _iou(rows, j, tile, k) >= threshold:
            cuda.atomic.or_(gone, 0, uint64(1) << uint64(k))
            return
    bits = uint64(0)
    for j in range(k + 1 + lane, WORD, LANES):
        if _iou(tile, k, tile, j) >= threshold:
            bits |= uint64(1) << uint64(j)
    cuda.atomic.or_(beaten, k, bits)
