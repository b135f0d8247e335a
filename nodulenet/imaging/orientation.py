"""Scans turned so that z points to the head, y to the back and x to the patient's left.

Everything between reading and writing lies in this orientation, in the workflow and in
`nodulenet predict` alike: `standard` is the one function that turns, and what is written for the
user in the grid of the file is turned back. No voxel is resampled by a turn.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nodulenet.imaging.volume import Volume
from nodulenet.masks import CroppedMask

# Stored axis of each turned one, and the turned axes that run against their stored ones.
Turn = tuple[tuple[int, ...], tuple[int, ...]]
STANDARD: Turn = ((0, 1, 2), ())


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
    """The volume turned as `to_standard` does, with the affine of the turned array, and the turn.

    A volume that lies so already is given back as it is, to the last bit.
    """
    array, _, (order, flips) = to_standard(volume)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, list(order)]
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(array, affine), (order, flips)


def turned_mask(cropped: CroppedMask, turn: Turn, shape: Sequence[int]) -> CroppedMask:
    """A mask of a scan of `shape` (z, y, x; as stored), turned with the scan."""
    order, flips = turn
    turned = np.ascontiguousarray(np.flip(cropped.mask.transpose(order), flips))
    start = [cropped.offset[axis] for axis in order]
    for axis in flips:
        start[axis] = shape[order[axis]] - start[axis] - turned.shape[axis]
    z, y, x = map(int, start)
    return CroppedMask(turned, (z, y, x))


def off_axes(affine: NDArray[np.float64]) -> float:
    """The largest angle in degrees between an axis of a grid and the body's axis nearest to it."""
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(columns).max(axis=0), 0, 1))).max())
