"""Kept boxes in grids by size and position, so that a candidate meets only those near it.

There is one grid per size class, a class being half an octave of the cube root of the volume, with
cells in proportion to its side. A grid is a torus: cell numbers wrap, those along x at the 64 bits
of a word that says which cells of a row are filled. Boxes that share a cell only by wrapping cost
a test; none is missed.

The class and cell of a box affect only speed. That no box which suppresses the candidate is missed
follows from what the search proves with the volumes and sides of the boxes actually in a grid.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.boxes.iou import HIGH, VOLUME

CLASS_BITS = 3 << 22
"""Half an octave of the cube root is 1.5 octaves of volume: so many steps of a float32's bits."""

CELLS = 64
"""Cells of a row: the bits of a word."""

MOST_ROWS = 1 << 19
"""Rows of cells of all grids together: 4 MB of words and, when touched, 128 MB of chain heads."""

SLACK = 1e-5
"""Relative; far above float32's rounding of corners and IoU, so that the search errs outwards."""


class Grids(NamedTuple):
    """The search and all arrays of the grids; C classes, R rows of cells, N boxes."""

    ranked: NDArray  # (N, 7) float32, the rows of `box_corners`
    threshold: np.float32
    proven: float  # exact arithmetic gives at least this if float32 gives the threshold; 0: any
    first_class: int
    sizes: NDArray  # (C, 2) int64, rows of cells along z and y: powers of two
    offsets: NDArray  # (C,) int64, a grid's first row
    per_voxel: NDArray  # (C,) float64, cells per voxel
    counts: NDArray  # (C,) int64, boxes in the grid
    volumes: NDArray  # (C, 2) float64, their least and largest volume
    sides: NDArray  # (C, 3) float64, their largest sides
    newest: NDArray  # (C,) int32, head of the chain of all boxes of a class
    filled: NDArray  # (R,) uint64, one bit per cell
    heads: NDArray  # (R, 64) int32, head of a filled cell's chain
    in_cell: NDArray  # (N,) int32, the next box of the cell's chain, -1 at its end
    in_class: NDArray  # (N,) int32, the next box of the class's chain, -1 at its end


@njit(cache=True, nogil=True)
def new_grids(ranked: NDArray, threshold: np.float32) -> Grids:
    """Empty grids for `box_corners` (N, 7), N >= 1, of which at least one has a volume."""
    low, high, first, last = _bounds(ranked)
    classes = last - first + 1
    sizes, offsets = np.empty((classes, 2), np.int64), np.empty(classes, np.int64)
    per_voxel = np.empty(classes)
    most, rows = _most_per_axis(len(ranked), classes), 0
    # At a high threshold only near neighbours matter: finer cells.
    exact = np.float64(threshold)
    fineness = max((1 + exact) / max(1 - exact, 1e-2), 1.0) * 0.8
    for k in range(classes):
        side = 2.0 ** (((first + k + 0.5) * CLASS_BITS / (1 << 23) - 127) / 3)
        per_voxel[k] = fineness / side
        for axis in range(2):
            sizes[k, axis] = _power_of_two((high[axis] - low[axis]) * per_voxel[k] + 1, most)
        offsets[k] = rows
        rows += sizes[k, 0] * sizes[k, 1]
    volumes = np.empty((classes, 2))
    volumes[:, 0], volumes[:, 1] = np.inf, -np.inf
    return Grids(
        ranked,
        threshold,
        # Below 1e-6 an overlap may be too small for float32 to round it relatively.
        exact * (1 - SLACK) if threshold > 1e-6 else 0.0,
        first,
        sizes,
        offsets,
        per_voxel,
        np.zeros(classes, np.int64),
        volumes,
        np.zeros((classes, 3)),
        np.full(classes, -1, np.int32),
        np.zeros(rows, np.uint64),
        np.empty((rows, CELLS), np.int32),
        np.empty(len(ranked), np.int32),
        np.empty(len(ranked), np.int32),
    )


@njit(cache=True, nogil=True, forceinline=True)
def add_box(grids: Grids, box: int) -> None:
    """Add a kept box that has a volume."""
    ranked, volume = grids.ranked, grids.ranked[box, VOLUME]
    k = size_class(volume) - grids.first_class
    grids.in_class[box], grids.newest[k] = grids.newest[k], box
    grids.counts[k] += 1
    grids.volumes[k, 0] = min(grids.volumes[k, 0], np.float64(volume))
    grids.volumes[k, 1] = max(grids.volumes[k, 1], np.float64(volume))
    for axis in range(3):
        side = np.float64(ranked[box, axis + HIGH]) - np.float64(ranked[box, axis])
        grids.sides[k, axis] = max(grids.sides[k, axis], side)
    at, x = own_cell(grids, k, box)
    bit = np.uint64(1) << np.uint64(x)
    grids.in_cell[box] = grids.heads[at, x] if grids.filled[at] & bit else -1
    grids.heads[at, x] = box
    grids.filled[at] |= bit


@njit(cache=True, nogil=True, forceinline=True)
def size_class(volume: float) -> int:
    """The class of a positive volume: a float32's bits grow nearly as its logarithm."""
    return int(np.float32(volume).view(np.int32)) // CLASS_BITS


@njit(cache=True, nogil=True, forceinline=True)
def cell(position: float, per_voxel: float) -> int:
    """The number of a cell, not wrapped; never decreases as `position` grows."""
    return int(np.floor(min(max(position * per_voxel, -1e12), 1e12)))


@njit(cache=True, nogil=True, forceinline=True)
def centre(ranked: NDArray, box: int) -> tuple[float, float, float]:
    """The middle (z, y, x) between a box's corners."""
    return (
        0.5 * (np.float64(ranked[box, 0]) + np.float64(ranked[box, 3])),
        0.5 * (np.float64(ranked[box, 1]) + np.float64(ranked[box, 4])),
        0.5 * (np.float64(ranked[box, 2]) + np.float64(ranked[box, 5])),
    )


@njit(cache=True, nogil=True, forceinline=True)
def own_cell(grids: Grids, k: int, box: int) -> tuple[int, int]:
    """Row of cells and cell in it where a box lies in the grid of class k."""
    z, y, x = centre(grids.ranked, box)
    cz = cell(z, grids.per_voxel[k]) & (grids.sizes[k, 0] - 1)
    cy = cell(y, grids.per_voxel[k]) & (grids.sizes[k, 1] - 1)
    at = grids.offsets[k] + cz * grids.sizes[k, 1] + cy
    return at, cell(x, grids.per_voxel[k]) & (CELLS - 1)


@njit(cache=True, nogil=True)
def _bounds(ranked: NDArray) -> tuple[NDArray, NDArray, int, int]:
    """Least and largest centre (3,) and the first and last class of the boxes with a volume."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    least, largest = np.inf, 0.0
    for i in range(len(ranked)):
        volume = float(ranked[i, VOLUME])
        if volume > 0:
            least, largest = min(least, volume), max(largest, volume)
            middle = centre(ranked, i)
            for axis in range(3):
                low[axis] = min(low[axis], middle[axis])
                high[axis] = max(high[axis], middle[axis])
    return low, high, size_class(least), size_class(largest)


@njit(cache=True, nogil=True)
def _most_per_axis(boxes: int, classes: int) -> int:
    """Most rows of cells along an axis, such that memory grows with the boxes and is bounded."""
    most = 8
    while 4 * most * most <= min(4 * boxes, MOST_ROWS // classes):
        most *= 2
    return most


@njit(cache=True, nogil=True)
def _power_of_two(wanted: float, most: int) -> int:
    size = 1
    while size < wanted and size < most:
        size *= 2
    return size
