"""Scans turned so that z points to the head, y to the back and x to the patient's left."""

import numpy as np
from numpy.typing import NDArray

from nodulenet.imaging.volume import Volume

Turn = tuple[tuple[int, ...], tuple[int, ...]]


def to_standard(volume: Volume) -> tuple[NDArray, NDArray[np.float64], Turn]:
    """A view of the array along the nearest axes (z up, y back, x left), its spacing (z, y, x)
    in mm, and the turn that `from_standard` undoes.
    """
    cosines = volume.affine[:3, :3] / volume.spacing
    world = cosines[::-1]  # rows: z, y, x of the world
    order = [0, 0, 0]
    free = {0, 1, 2}
    for row in np.argsort(-np.abs(world).max(axis=1)):
        order[row] = max(free, key=lambda axis: abs(world[row, axis]))
        free.remove(order[row])
    flips = tuple(k for k in range(3) if world[k, order[k]] < 0)
    array = np.flip(volume.array.transpose(order), flips)
    return array, volume.spacing[order], (tuple(order), flips)


def from_standard(array: NDArray, turn: Turn) -> NDArray:
    """An array in standard orientation, turned back to its scan's, in C order."""
    order, flips = turn
    return np.ascontiguousarray(np.flip(array, flips).transpose(np.argsort(order)))


def standard(volume: Volume) -> tuple[Volume, Turn]:
    """The volume turned as `to_standard` does, with the affine of the turned array."""
    array, _, (order, flips) = to_standard(volume)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, list(order)]
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(array, affine), (order, flips)
