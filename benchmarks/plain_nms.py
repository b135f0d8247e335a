"""Two plain implementations of greedy NMS, and the boxes for the measurements.

Both take boxes (N, 6), float32 rows (z, y, x, d, h, w), and scores (N,) and return the kept indices
in descending order of score; a box is suppressed if its IoU with a kept one is >= the threshold, in
float32.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

ANCHOR_SIDES = np.array([5.0, 10.0, 20.0, 30.0, 50.0])
EXTENT, STRIDE = 320, 4


def suppress_forward(boxes: NDArray, scores: NDArray, threshold: float) -> NDArray:
    """Each kept box marks all later ones."""
    order, columns = _ranked_columns(boxes, scores)
    return order[_suppress_forward(columns, np.float32(threshold))]


def kept_list(boxes: NDArray, scores: NDArray, threshold: float) -> NDArray:
    """Each box is tested against those kept, until one suppresses it."""
    order, columns = _ranked_columns(boxes, scores)
    return order[_kept_list(columns, np.float32(threshold))]


def early_boxes(count: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Proposals of an untrained network: jittered anchors throughout a 320^3 volume."""
    rng = np.random.default_rng(seed)
    steps = EXTENT // STRIDE
    anchor = rng.choice(steps**3 * len(ANCHOR_SIDES), count, replace=False)
    place, size = np.divmod(anchor, len(ANCHOR_SIDES))
    centre = np.stack(np.unravel_index(place, (steps,) * 3), 1) * STRIDE + 1.5
    side = ANCHOR_SIDES[size, None] * np.exp(rng.normal(0, 0.1, (count, 3)))
    return _shuffled(centre + rng.normal(0, 0.1, (count, 3)) * side, side, rng)


def trained_boxes(count: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Proposals of a trained network: 200 jittered boxes around each of count / 200 objects."""
    rng = np.random.default_rng(seed)
    objects = max(count // 200, 1)
    middle = rng.uniform(0, EXTENT, (objects, 3))
    sides = np.exp(rng.uniform(np.log(5), np.log(50), (objects, 1)))
    which = np.arange(count) % objects
    side = sides[which] * np.exp(rng.normal(0, 0.15, (count, 3)))
    return _shuffled(middle[which] + rng.normal(0, 0.15, (count, 3)) * side, side, rng)


def _shuffled(centre: NDArray, side: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    boxes = np.concatenate([centre, side], 1).astype(np.float32)
    return boxes, rng.uniform(size=len(boxes)).astype(np.float32)


def _ranked_columns(boxes: NDArray, scores: NDArray) -> tuple[NDArray, NDArray]:
    """Order by descending score and, in that order, columns (7, N): corners low, high and
    volume."""
    order = np.argsort(-scores, kind="stable")
    half = boxes[order, 3:] * np.float32(0.5)
    low, high = boxes[order, :3] - half, boxes[order, :3] + half
    side = high - low
    volume = side[:, 0] * side[:, 1] * side[:, 2]
    return order, np.ascontiguousarray(np.concatenate([low, high, volume[:, None]], 1).T)


@njit(cache=True, nogil=True, error_model="numpy")
def _iou(columns: NDArray, i: int, j: int) -> np.float32:
    d = min(columns[3, i], columns[3, j]) - max(columns[0, i], columns[0, j])
    if d <= 0:
        return np.float32(0)
    h = min(columns[4, i], columns[4, j]) - max(columns[1, i], columns[1, j])
    if h <= 0:
        return np.float32(0)
    w = min(columns[5, i], columns[5, j]) - max(columns[2, i], columns[2, j])
    if w <= 0:
        return np.float32(0)
    overlap = d * h * w
    union = columns[6, i] + columns[6, j] - overlap
    return overlap / union if overlap > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def _suppress_forward(columns: NDArray, threshold: np.float32) -> NDArray:
    total = columns.shape[1]
    suppressed, kept, count = np.zeros(total, np.bool_), np.empty(total, np.int64), 0
    for i in range(total):
        if suppressed[i]:
            continue
        kept[count] = i
        count += 1
        for j in range(i + 1, total):
            if not suppressed[j] and _iou(columns, i, j) >= threshold:
                suppressed[j] = True
    return kept[:count]


@njit(cache=True, nogil=True)
def _kept_list(columns: NDArray, threshold: np.float32) -> NDArray:
    kept, count = np.empty(columns.shape[1], np.int64), 0
    for j in range(columns.shape[1]):
        keep = True
        for k in range(count):
            if _iou(columns, kept[k], j) >= threshold:
                keep = False
                break
        if keep:
            kept[count] = j
            count += 1
    return kept[:count]
