"""Kept boxes filed by size and place, so that a candidate meets only those that may fell it.

There is a grid for each class of size, a class being half an octave of the cube root of the
volume, with cells in proportion to its side. A grid is a torus: a cell's number wraps, x always at
the 64 bits of a word that says which cells of a row of cells are filled. What shares a cell only
by wrapping is tested for naught; nothing is missed.

Which class and cell a box is filed in decides speed alone. That no box is passed over that could
fell the candidate rests on what the search proves from the volumes and sides actually filed.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from nodulenet.boxes.iou import HIGH, VOLUME

CLASS_BITS = 3 << 22
"""Half an octave of the cube root is 1.5 octaves of volume: so many steps of a float32's bits."""

CELLS = 64
"""Cells of a row: the bits of a word."""

MOST_ROWS = 1 << 19
"""Rows of cells of all grids together: 4 MB of words and, where touched, 128 MB of chain heads."""


class Grids(NamedTuple):
    """All arrays of the grids; C classes, R rows of cells, N boxes."""

    first_class: int
    sizes: NDArray  # (C, 2) int64, rows of cells along z and y: powers of two
    offsets: NDArray  # (C,) int64, a grid's first row
    per_voxel: NDArray  # (C,) float64, cells per voxel
    filed: NDArray  # (C,) int64, boxes filed
    volumes: NDArray  # (C, 2) float64, least and largest volume filed
    sides: NDArray  # (C, 3) float64, largest sides filed
    newest: NDArray  # (C,) int32, head of the chain of all boxes of a class
    filled: NDArray  # (R,) uint64, a bit a cell
    heads: NDArray  # (R, 64) int32, head of a filled cell's chain
    in_cell: NDArray  # (N,) int32, the next box of the cell's chain, -1 at its end
    in_class: NDArray  # (N,) int32, the next box of the class's chain, -1 at its end


@njit(cache=True, nogil=True)
def new_grids(ranked: NDArray, threshold: float) -> Grids:
    """Empty grids for `corners` (N, 7), N >= 1, of which at least one has a volume."""
    low, high, first, last = _bounds(ranked)
    classes = last - first + 1
    sizes, offsets = np.empty((classes, 2), np.int64), np.empty(classes, np.int64)
    per_voxel = np.empty(classes)
    most, rows = _most_per_axis(len(ranked), classes), 0
    # At a high threshold only near neighbours matter: finer cells.
    fineness = max((1 + threshold) / max(1 - threshold, 1e-2), 1.0) * 0.8
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
def size_class(volume: float) -> int:
    """The class of a positive volume: a float32's bits grow nearly as its logarithm."""
    return int(np.float32(volume).view(np.int32)) // CLASS_BITS


@njit(cache=True, nogil=True, forceinline=True)
def cell(position: float, per_voxel: float) -> int:
    """The number of a cell, not wrapped; never falls where `position` rises."""
    return int(np.floor(min(max(position * per_voxel, -1e12), 1e12)))


@njit(cache=True, nogil=True, forceinline=True)
def file_box(grids: Grids, ranked: NDArray, box: int) -> None:
    """File a kept box that has a volume."""
    volume = ranked[box, VOLUME]
    k = size_class(volume) - grids.first_class
    grids.in_class[box], grids.newest[k] = grids.newest[k], box
    grids.filed[k] += 1
    grids.volumes[k, 0] = min(grids.volumes[k, 0], np.float64(volume))
    grids.volumes[k, 1] = max(grids.volumes[k, 1], np.float64(volume))
    for axis in range(3):
        side = np.float64(ranked[box, axis + HIGH]) - np.float64(ranked[box, axis])
        grids.sides[k, axis] = max(grids.sides[k, axis], side)
    z = cell(centre(ranked, box, 0), grids.per_voxel[k]) & (grids.sizes[k, 0] - 1)
    y = cell(centre(ranked, box, 1), grids.per_voxel[k]) & (grids.sizes[k, 1] - 1)
    x = cell(centre(ranked, box, 2), grids.per_voxel[k]) & (CELLS - 1)
    at = grids.offsets[k] + z * grids.sizes[k, 1] + y
    bit = np.uint64(1) << np.uint64(x)
    grids.in_cell[box] = grids.heads[at, x] if grids.filled[at] & bit else -1
    grids.heads[at, x] = box
    grids.filled[at] |= bit


@njit(cache=True, nogil=True, forceinline=True)
def centre(ranked: NDArray, box: int, axis: int) -> float:
    """The middle between a box's corners."""
    return 0.5 * (np.float64(ranked[box, axis]) + np.float64(ranked[box, axis + HIGH]))


@intrinsic
def trailing_zeros(_context, word):  # type: ignore[no-untyped-def]
    """Zeros below the lowest bit of a uint64 that is not zero; NumPy and Numba have no call."""

    def generate(_target, builder, _signature, values):  # type: ignore[no-untyped-def]
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def _bounds(ranked: NDArray) -> tuple[NDArray, NDArray, int, int]:
    """Least and largest centre (3,) and the first and last class of the boxes with a volume."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    least, largest = np.inf, 0.0
    for i in range(len(ranked)):
        if ranked[i, VOLUME] > 0:
            least, largest = (
                min(least, float(ranked[i, VOLUME])),
                max(largest, float(ranked[i, VOLUME])),
            )
            for axis in range(3):
                place = centre(ranked, i, axis)
                low[axis], high[axis] = min(low[axis], place), max(high[axis], place)
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
