"""Greedy suppression of ranked boxes on the CPU: three loops with the same result."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.boxes.grid import add_box, new_grids
from nodulenet.boxes.iou import VOLUME, box_corners, pair_iou
from nodulenet.boxes.search import is_suppressed

LANES = 32
"""Kept boxes tested at once, without branches."""

KEPT_IN_LANES = 512
"""Up to so many kept boxes, testing all is faster than a search."""

LEAST_PRODUCT, LARGEST_VOLUME = 1e-30, 1e37
"""Between them float32 rounds relatively, as the proofs of the search assume."""


def suppress(boxes: NDArray, order: NDArray, threshold: np.float32) -> NDArray:
    """Greedy NMS of boxes (N, 6) taken in `order` (N,): the kept indices, int64, in that order."""
    found, ranked, kept, start = _keep_few(boxes, order, threshold)
    if start == len(ranked):
        return found
    # Compiled separately: it takes most of the compilation time, and few calls need it.
    count = _keep_by_grids(ranked, threshold, kept, start, len(found))
    return order[kept[:count]].astype(np.int64)


@njit(cache=True, nogil=True)
def _keep_few(
    boxes: NDArray, order: NDArray, threshold: np.float32
) -> tuple[NDArray, NDArray, NDArray, int]:
    """As `suppress`, but stops where the grids should take over.

    Returns the indices kept so far and what `_keep_by_grids` continues from: the ranked corners,
    the ranks kept, and the next candidate, N if there is none.
    """
    ranked = box_corners(boxes[order])
    kept = np.empty(len(ranked), np.int32)
    if threshold <= 0:
        start, count = len(ranked), _keep_in_order(ranked, threshold, kept)
    else:
        most = KEPT_IN_LANES if _rounds_relatively(ranked) else len(ranked)
        start, count = _keep_in_lanes(ranked, threshold, kept, most)
    return order[kept[:count]].astype(np.int64), ranked, kept, start


@njit(cache=True, nogil=True)
def _rounds_relatively(ranked: NDArray) -> bool:
    """Whether no volume over- or underflows in the computation, and one is not zero."""
    some = False
    for i in range(len(ranked)):
        volume = ranked[i, VOLUME]
        if not volume <= LARGEST_VOLUME:
            return False
        if volume > 0:
            some = True
            face = (ranked[i, 3] - ranked[i, 0]) * (ranked[i, 4] - ranked[i, 1])
            if volume < LEAST_PRODUCT or face < LEAST_PRODUCT:
                return False
    return some


@njit(cache=True, nogil=True)
def _keep_in_order(ranked: NDArray, threshold: np.float32, kept: NDArray) -> int:
    """The definition: each box against all kept ones. Returns the number kept."""
    count = 0
    for i in range(len(ranked)):
        survives = True
        for k in range(count):
            if pair_iou(ranked, kept[k], ranked, i) >= threshold:
                survives = False
                break
        if survives:
            kept[count] = i
            count += 1
    return count


@njit(cache=True, nogil=True)
def _keep_in_lanes(
    ranked: NDArray, threshold: np.float32, kept: NDArray, most: int
) -> tuple[int, int]:
    """As `_keep_in_order` for a threshold above 0, with the kept boxes in columns.

    Stops early when `most` are kept. Returns the next candidate and the number kept.
    """
    # Columns not yet used are boxes without volume, which suppress none.
    columns = np.zeros((7, min(most, len(ranked)) + LANES), np.float32)
    count = 0
    for i in range(len(ranked)):
        if count == most:
            return i, count
        if _survives(ranked, i, columns, count, threshold):
            for column in range(7):
                columns[column, count] = ranked[i, column]
            kept[count] = i
            count += 1
    return len(ranked), count


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _survives(
    ranked: NDArray, box: int, columns: NDArray, count: int, threshold: np.float32
) -> bool:
    zero = np.float32(0)
    z0, y0, x0 = ranked[box, 0], ranked[box, 1], ranked[box, 2]
    z1, y1, x1, volume = ranked[box, 3], ranked[box, 4], ranked[box, 5], ranked[box, 6]
    for start in range(0, count, LANES):
        hits = 0
        for lane in range(LANES):
            j = np.uint64(start + lane)  # unsigned: else the test for j < 0 keeps it scalar
            d = max(min(z1, columns[3, j]) - max(z0, columns[0, j]), zero)
            h = max(min(y1, columns[4, j]) - max(y0, columns[1, j]), zero)
            w = max(min(x1, columns[5, j]) - max(x0, columns[2, j]), zero)
            overlap = d * h * w
            iou = overlap / (volume + columns[6, j] - overlap)
            hits += 1 if (overlap > zero) & (iou >= threshold) else 0
        if hits:
            return False
    return True


@njit(cache=True, nogil=True)
def _keep_by_grids(
    ranked: NDArray, threshold: np.float32, kept: NDArray, start: int, count: int
) -> int:
    """Continue at candidate `start` with `count` kept. Returns the number kept."""
    grids = new_grids(ranked, threshold)
    for k in range(count):
        if ranked[kept[k], VOLUME] > 0:
            add_box(grids, kept[k])
    for i in range(start, len(ranked)):
        if ranked[i, VOLUME] > 0:
            if is_suppressed(grids, i):
                continue
            add_box(grids, i)
        kept[count] = i
        count += 1
    return count
