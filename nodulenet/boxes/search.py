"""The search among kept boxes filed in grids for one that fells a candidate."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.boxes.grid import CELLS, Grids, cell, centre, size_class, trailing_zeros
from nodulenet.boxes.iou import VOLUME, pair_iou

SLACK = 1e-5
"""Relative; far above float32's rounding of corners and IoU, so that `_reach` errs outwards."""


@njit(cache=True, nogil=True)
def proven_threshold(threshold: np.float32) -> float:
    """A threshold of exact arithmetic that float32 does not pass below; 0: any overlap counts."""
    # Below 1e-6 an overlap may be too small for float32 to round it relatively.
    return np.float64(threshold) * (1 - SLACK) if threshold > 1e-6 else 0.0


@njit(cache=True, nogil=True, forceinline=True)
def felled(grids: Grids, ranked: NDArray, box: int, least: float, threshold: np.float32) -> bool:
    """Whether a filed box fells this one; classes of sizes near its own are searched first."""
    own = size_class(ranked[box, VOLUME]) - grids.first_class
    z, y, x = centre(ranked, box, 0), centre(ranked, box, 1), centre(ranked, box, 2)
    for k in range(max(own - 1, 0), min(own + 2, len(grids.filed))):
        if _felled_in_cell(grids, k, ranked, box, z, y, x, threshold):
            return True
    volume = np.float64(ranked[box, VOLUME])
    classes = len(grids.filed)
    for step in range(2 * classes):
        k = own + ((step + 1) >> 1) * (1 if step & 1 else -1)
        if k < 0 or k >= classes or grids.filed[k] == 0:
            continue
        if grids.volumes[k, 1] < least * volume or volume < least * grids.volumes[k, 0]:
            continue
        if _felled_by_class(grids, k, ranked, box, z, y, x, least, threshold):
            return True
    return False


@njit(cache=True, nogil=True, forceinline=True)
def _felled_in_cell(
    grids: Grids,
    k: int,
    ranked: NDArray,
    box: int,
    z: float,
    y: float,
    x: float,
    threshold: np.float32,
) -> bool:
    """Whether a box of class k in the candidate's own cell fells it: the likeliest place."""
    per_voxel = grids.per_voxel[k]
    cz = cell(z, per_voxel) & (grids.sizes[k, 0] - 1)
    cy = cell(y, per_voxel) & (grids.sizes[k, 1] - 1)
    cx = cell(x, per_voxel) & (CELLS - 1)
    at = grids.offsets[k] + cz * grids.sizes[k, 1] + cy
    if not (grids.filled[at] >> np.uint64(cx)) & np.uint64(1):
        return False
    return _chain_fells(grids.in_cell, grids.heads[at, cx], ranked, box, threshold)


@njit(cache=True, nogil=True, forceinline=True)
def _felled_by_class(
    grids: Grids,
    k: int,
    ranked: NDArray,
    box: int,
    z: float,
    y: float,
    x: float,
    least: float,
    threshold: np.float32,
) -> bool:
    per_voxel = grids.per_voxel[k]
    reach = _reach(ranked, box, grids.sides, k, grids.volumes[k, 0], least)
    if reach[0] < 0 or reach[1] < 0 or reach[2] < 0:
        return False
    z0, z1 = cell(z - reach[0], per_voxel), cell(z + reach[0], per_voxel)
    y0, y1 = cell(y - reach[1], per_voxel), cell(y + reach[1], per_voxel)
    x0, x1 = cell(x - reach[2], per_voxel), cell(x + reach[2], per_voxel)
    z1 = min(z1, z0 + grids.sizes[k, 0] - 1)
    y1 = min(y1, y0 + grids.sizes[k, 1] - 1)
    if (z1 - z0 + 1) * (y1 - y0 + 1) > 2 * grids.filed[k]:
        return _chain_fells(grids.in_class, grids.newest[k], ranked, box, threshold)
    mask = _row_mask(x0, x1)
    for cz in range(z0, z1 + 1):
        plane = grids.offsets[k] + (cz & (grids.sizes[k, 0] - 1)) * grids.sizes[k, 1]
        for cy in range(y0, y1 + 1):
            at = plane + (cy & (grids.sizes[k, 1] - 1))
            word = grids.filled[at] & mask
            while word:
                head = grids.heads[at, trailing_zeros(word)]
                if _chain_fells(grids.in_cell, head, ranked, box, threshold):
                    return True
                word &= word - np.uint64(1)
    return False


@njit(cache=True, nogil=True, forceinline=True, error_model="numpy")
def _reach(
    ranked: NDArray, box: int, sides: NDArray, k: int, least_volume: float, least: float
) -> tuple[float, float, float]:
    """How far apart two centres may be along z, y, x for an IoU >= `least`; < 0: never.

    An IoU of t needs an overlap of t / (1 + t) of both volumes' sum, and along two axes the
    overlap is no longer than the shorter side: the rest must come from the third.
    """
    d = np.float64(ranked[box, 3]) - np.float64(ranked[box, 0])
    h = np.float64(ranked[box, 4]) - np.float64(ranked[box, 1])
    w = np.float64(ranked[box, 5]) - np.float64(ranked[box, 2])
    dd, hh, ww = min(d, sides[k, 0]), min(h, sides[k, 1]), min(w, sides[k, 2])
    most = dd * hh * ww * (1 + SLACK)
    need = (np.float64(ranked[box, VOLUME]) + least_volume) * (least / (1 + least) * (1 - SLACK))
    if most < need:
        return -1.0, -1.0, -1.0
    share = need / most
    return (
        (d + sides[k, 0]) * (0.5 + SLACK) - share * dd,
        (h + sides[k, 1]) * (0.5 + SLACK) - share * hh,
        (w + sides[k, 2]) * (0.5 + SLACK) - share * ww,
    )


@njit(cache=True, nogil=True, forceinline=True)
def _row_mask(first: int, last: int) -> np.uint64:
    """Bits first..last of a row of cells, wrapped."""
    if last - first >= CELLS - 1:
        return ~np.uint64(0)
    run = (np.uint64(1) << np.uint64(last - first + 1)) - np.uint64(1)
    turn = np.uint64(first & (CELLS - 1))
    return (run << turn) | (
        run >> ((np.uint64(CELLS) - turn) & np.uint64(CELLS - 1)) if turn else run
    )


@njit(cache=True, nogil=True, forceinline=True)
def _chain_fells(
    following: NDArray, head: int, ranked: NDArray, box: int, threshold: np.float32
) -> bool:
    while head >= 0:
        if pair_iou(ranked, head, ranked, box) >= threshold:
            return True
        head = following[head]
    return False
