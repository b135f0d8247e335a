"""A volume's axes: at right angles, set so where rounding has moved them, or refused."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.imaging.grid import Shape

ROUNDING = 1e-5  # cosine between two axes that float32 and six decimals leave
GUESSED = "axes taken as LPS"  # in a note: the header has no orientation
SKEW_LIMIT = 0.2  # degrees; three decimals of a direction cosine stay below it


def squared(
    path: Path, affine: NDArray[np.float64], shape: Shape, what: str = "axes"
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """An affine whose axes are at right angles, and a line where they had to be set so.

    affine: index (z, y, x, 1) -> LPS (x, y, z, 1) in mm; shape: (z, y, x). Axes up to
    SKEW_LIMIT degrees off are replaced by the nearest rotation (the polar factor of their
    directions); spacing and the volume's centre stay. Raises `InputError` naming `path` where an
    axis has no length or a number is not finite, and where the axes are sheared.
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
    moved = farthest(affine, square, shape)
    return square, (
        f"its {what} are {angle:.2g} degrees off right angles and were set at right angles;"
        f" no voxel moves by more than {moved:.2g} mm",
    )


def farthest(a: NDArray[np.float64], b: NDArray[np.float64], shape: Shape) -> float:
    """The largest distance in mm between the places that two affines give to one voxel."""
    ends = [(0, max(n - 1, 0)) for n in shape]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    off = corners @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(off, axis=1).max())
