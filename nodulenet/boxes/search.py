"""The search in the grids for a kept box that suppresses a candidate."""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from nodulenet.boxes.grid import CELLS, SLACK, Grids, cell, centre, own_cell, size_class
from nodulenet.boxes.iou import VOLUME, pair_iou


@njit(cache=True, nogil=True, forceinline=True)
def is_suppressed(grids: Grids, box: int) -> bool:
    """Whether a box in the grids suppresses this one; classes of similar size are tried first."""
    volume, classes = np.float64(grids.ranked[box, VOLUME]), len(grids.counts)
    own = size_class(grids.ranked[box, VOLUME]) - grids.first_class
    for k in range(max(own - 1, 0), min(own + 2, classes)):
        at, x = own_cell(grids, k, box)  # the likeliest place
        if (grids.filled[at] >> np.uint64(x)) & np.uint64(1) and _chain_suppresses(
            grids, grids.in_cell, grids.heads[at, x], box
        ):
            return True
    for step in range(2 * classes):
        k = own + ((step + 1) >> 1) * (1 if step & 1 else -1)
        if k < 0 or k >= classes or grids.counts[k] == 0:
            continue
        if grids.volumes[k, 1] < grids.proven * volume:
            continue
        if volume < grids.proven * grids.volumes[k, 0]:
            continue
        if _suppressed_by_class(grids, k, box):
            return True
    return False


@njit(cache=True, nogil=True, forceinline=True)
def _suppressed_by_class(grids: Grids, k: int, box: int) -> bool:
    per_voxel = grids.per_voxel[k]
    reach = _reach(grids, k, box)
    if reach[0] < 0 or reach[1] < 0 or reach[2] < 0:
        return False
    z, y, x = centre(grids.ranked, box)
    z0, z1 = cell(z - reach[0], per_voxel), cell(z + reach[0], per_voxel)
    y0, y1 = cell(y - reach[1], per_voxel), cell(y + reach[1], per_voxel)
    x0, x1 = cell(x - reach[2], per_voxel), cell(x + reach[2], per_voxel)
    z1 = min(z1, z0 + grids.sizes[k, 0] - 1)
    y1 = min(y1, y0 + grids.sizes[k, 1] - 1)
    if (z1 - z0 + 1) * (y1 - y0 + 1) > 2 * grids.counts[k]:
        return _chain_suppresses(grids, grids.in_class, grids.newest[k], box)
    mask = _row_mask(x0, x1)
    for cz in range(z0, z1 + 1):
        plane = grids.offsets[k] + (cz & (grids.sizes[k, 0] - 1)) * grids.sizes[k, 1]
        for cy in range(y0, y1 + 1):
            at = plane + (cy & (grids.sizes[k, 1] - 1))
            word = grids.filled[at] & mask
            while word:
                head = grids.heads[at, _trailing_zeros(word)]
                if _chain_suppresses(grids, grids.in_cell, head, box):
                    return True
                word &= word - np.uint64(1)
    return False


@njit(cache=True, nogil=True, forceinline=True)
def _chain_suppresses(grids: Grids, following: NDArray, head: int, box: int) -> bool:
    while head >= 0:
        if pair_iou(grids.ranked, head, grids.ranked, box) >= grids.threshold:
            return True
        head = following[head]
    return False


@njit(cache=True, nogil=True, forceinline=True, error_model="numpy")
def _reach(grids: Grids, k: int, box: int) -> tuple[float, float, float]:
    """Largest distance of two centres along z, y, x for an IoU >= `proven`; < 0: none.

    An IoU of t needs an overlap of t / (1 + t) of the sum of both volumes, and along two axes the
    overlap is no longer than the shorter side: the rest must come from the third.
    """
    ranked, sides, proven = grids.ranked, grids.sides, grids.proven
    d = np.float64(ranked[box, 3]) - np.float64(ranked[box, 0])
    h = np.float64(ranked[box, 4]) - np.float64(ranked[box, 1])
    w = np.float64(ranked[box, 5]) - np.float64(ranked[box, 2])
    dd, hh, ww = min(d, sides[k, 0]), min(h, sides[k, 1]), min(w, sides[k, 2])
    most = dd * hh * ww * (1 + SLACK)
    volumes = np.float64(ranked[box, VOLUME]) + grids.volumes[k, 0]
    need = volumes * (proven / (1 + proven) * (1 - SLACK))
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


@intrinsic
def _trailing_zeros(_context, word):  # type: ignore[no-untyped-def]
    """Zeros below the lowest bit of a non-zero uint64; NumPy and Numba have no such call."""

    def generate(_target, builder, _signature, values):  # type: ignore[no-untyped-def]
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate
