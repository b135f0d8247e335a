"""The grid a scan is resampled to, known from its affine and shape alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nodulenet.settings import Grid

Shape = tuple[int, int, int]


def target_grid(
    affine: NDArray[np.float64],
    shape: Shape,
    *,
    resample: bool = True,
    grid: Grid = "world",
) -> tuple[NDArray[np.float64], Shape]:
    """Affine and shape (z, y, x) of the uncropped 1 mm grid of a scan.

    Both grids start at the centre of the first voxel, keep the scan's own axes and have
    round(shape * spacing) voxels. "world" steps exactly 1 mm; "corners" also keeps the centre
    of the last voxel, so that its step is 1 mm only nearly. `resample=False` returns the
    scan's own grid.
    """
    if not resample:
        return affine.copy(), shape
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    size = np.maximum(1, np.rint(np.asarray(shape) * spacing)).astype(int)
    step = 1 / spacing
    if grid == "corners":
        kept = (np.asarray(shape) - 1) / np.maximum(size - 1, 1)
        step = np.where(kept > 0, kept, step)
    elif grid != "world":
        raise ValueError(f"grid is 'world' or 'corners', not {grid!r}")
    target = affine.copy()
    target[:3, :3] = affine[:3, :3] * step
    return target, (int(size[0]), int(size[1]), int(size[2]))


def index_map(
    source_affine: NDArray[np.float64], target_affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (3, 3) and offset (3,) that take a target index (z, y, x) to a source index."""
    inverse = np.linalg.inv(source_affine[:3, :3])
    matrix = inverse @ target_affine[:3, :3]
    matrix[np.abs(matrix) < 1e-9] = 0  # axis-aligned grids stay so in spite of rounding
    return matrix, inverse @ (target_affine[:3, 3] - source_affine[:3, 3])


def moved(affine: NDArray[np.float64], offset: Sequence[int]) -> NDArray[np.float64]:
    """The affine of a crop whose first voxel has the index `offset` (z, y, x)."""
    crop = affine.copy()
    crop[:3, 3] += affine[:3, :3] @ np.asarray(offset, float)
    return crop


def crop_offset(crop_affine: NDArray[np.float64], grid_affine: NDArray[np.float64]) -> Shape:
    """Index (z, y, x) in the whole grid of the first voxel of a crop of it."""
    _, offset = index_map(grid_affine, crop_affine)
    z, y, x = np.rint(offset).astype(int).tolist()
    return z, y, x
