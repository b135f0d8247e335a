"""A volume's axes: at right angles, and turned so that z is up, y back and x to the left.

Everything between reading and writing lies in this standard orientation, in the workflow and in
`nodulenet predict` alike; what is written in the grid of the user's file is turned back. Turning
does not resample.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.grid import Shape
from nodulenet.imaging.volume import Volume
from nodulenet.masks import CroppedMask

# Stored axis of each turned one, and the turned axes that run against their stored ones.
Turn = tuple[tuple[int, ...], tuple[int, ...]]
STANDARD: Turn = ((0, 1, 2), ())
ROUNDING = 1e-5  # cosine between two axes that float32 and six decimals leave
# In notes: the header has no orientation, or no position.
ASSUMED_LPS = "axes assumed to be LPS"
ASSUMED_ORIGIN = "its first voxel is put at 0"
SKEW_LIMIT = 0.2  # degrees; direction cosines with three decimals stay below it


def standard(volume: Volume) -> tuple[Volume, Turn]:
    """A view of the volume along the nearest axes (z up, y back, x left), without its notes, and
    the turn that `from_standard` undoes.

    Array and affine of a volume in standard orientation stay as they are, to the last bit.
    """
    world = (volume.affine[:3, :3] / volume.spacing)[::-1]  # rows: z, y, x of the world
    order = [0, 0, 0]
    free = {0, 1, 2}
    for row in np.argsort(-np.abs(world).max(axis=1)):
        order[row] = max(free, key=lambda axis: abs(world[row, axis]))
        free.remove(order[row])
    flips = tuple(k for k in range(3) if world[k, order[k]] < 0)
    array = np.flip(volume.array.transpose(order), flips)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, order]
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(array, affine), (tuple(order), flips)


def from_standard(array: NDArray, turn: Turn) -> NDArray:
    """An array in standard orientation, turned back to its scan's, in C order."""
    order, flips = turn
    return np.ascontiguousarray(np.flip(array, flips).transpose(np.argsort(order)))


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
    """The largest angle in degrees between a grid axis and the body axis nearest to it."""
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(columns).max(axis=0), 0, 1))).max())


def square_axes(
    path: Path, affine: NDArray[np.float64], shape: Shape, what: str = "axes"
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """An affine whose axes are at right angles, and a note if they had to be corrected.

    affine: index (z, y, x, 1) -> LPS (x, y, z, 1) in mm; shape: (z, y, x). Axes up to
    SKEW_LIMIT degrees off are replaced by the nearest rotation (the polar factor of their
    directions); spacing and the volume's centre stay. Raises `InputError` naming `path` if an
    axis has no length, a number is not finite, or the axes are sheared.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not spacing.all():
        raise InputError(
            f"{path}: bad header: spacing {spacing[::-1].tolist()} or direction of its {what}"
        )
    cosines = affine[:3, :3] / spacing
    skew = np.abs(cosines.T @ cosines - np.eye(3)).max()
    if skew <= ROUNDING:
        return affine, ()
    angle = float(np.degrees(np.arcsin(min(skew, 1))))
    if angle > SKEW_LIMIT:
        raise InputError(
            f"{path}: sheared: its {what} are {angle:.3g} degrees off right angles (up to"
            f" {SKEW_LIMIT} pass as rounding): resample it to a grid at right angles"
        )
    left, _, right = np.linalg.svd(cosines)
    square = affine.copy()
    square[:3, :3] = left @ right * spacing
    centre = (np.array(shape) - 1) / 2
    square[:3, 3] += (affine - square)[:3, :3] @ centre
    shift = largest_shift(affine, square, shape)
    return square, (
        f"its {what} are {angle:.2g} degrees off right angles and were set at right angles;"
        f" no voxel moves by more than {shift:.2g} mm",
    )


def largest_shift(a: NDArray[np.float64], b: NDArray[np.float64], shape: Shape) -> float:
    """The largest distance in mm between the positions that two affines give to one voxel."""
    ends = [(0, max(n - 1, 0)) for n in shape]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    off = corners @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(off, axis=1).max())
