"""The grid a scan is resampled to, and the cubic B-spline that does it, axis by axis."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.settings import PreprocessSettings

Shape = tuple[int, int, int]
PUBLISHED = PreprocessSettings()

# The cardinal cubic spline decays by 0.27 per sample: of 255 levels less than 1e-3 is cut off.
NEGLIGIBLE = 1e-6
EDGE = 12
BLOCK = 48


def target_grid(
    affine: NDArray[np.float64], shape: Shape, settings: PreprocessSettings = PUBLISHED
) -> tuple[NDArray[np.float64], Shape]:
    """Affine and shape (z, y, x) of the uncropped 1 mm grid of a scan.

    Either grid starts at the centre of the first voxel, keeps the scan's own axes and has
    round(shape * spacing) voxels. "world" steps exactly 1 mm; "corners" also keeps the centre
    of the last voxel, so that its step is only nearly 1 mm. Without `settings.resample` it is the
    scan's own grid.
    """
    if not settings.resample:
        return affine.copy(), shape
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    size = np.maximum(1, np.rint(np.asarray(shape) * spacing)).astype(int)
    step = 1 / spacing
    if settings.grid == "corners":
        kept = (np.asarray(shape) - 1) / np.maximum(size - 1, 1)
        step = np.where(kept > 0, kept, step)
    target = affine.copy()
    target[:3, :3] = affine[:3, :3] * step
    return target, (int(size[0]), int(size[1]), int(size[2]))


def index_map(
    source_affine: NDArray[np.float64], target_affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (3, 3) and offset (3,) that map a target index (z, y, x) to a source index."""
    inverse = np.linalg.inv(source_affine[:3, :3])
    matrix = inverse @ target_affine[:3, :3]
    matrix[np.abs(matrix) < 1e-9] = 0  # axis-aligned grids stay so in spite of rounding
    return matrix, inverse @ (target_affine[:3, 3] - source_affine[:3, 3])


def crop_affine(affine: NDArray[np.float64], offset: Sequence[int]) -> NDArray[np.float64]:
    """The affine of a crop whose first voxel has the index `offset` (z, y, x)."""
    crop = affine.copy()
    crop[:3, 3] += affine[:3, :3] @ np.asarray(offset, float)
    return crop


def crop_offset(crop_affine: NDArray[np.float64], grid_affine: NDArray[np.float64]) -> Shape:
    """Index (z, y, x) in the whole grid of the first voxel of a crop of it."""
    _, offset = index_map(grid_affine, crop_affine)
    z, y, x = np.rint(offset).astype(int).tolist()
    return z, y, x


def spline_matrix(positions: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Weights (len(positions), size) that interpolate `size` samples at fractional indices.

    An interpolating cubic B-spline with the edge samples repeated beyond the ends: row i gives
    what `scipy.ndimage.map_coordinates(order=3, mode="nearest")` returns at positions[i].
    """
    reach = EDGE - 2
    positions = np.clip(positions, -reach, size - 1 + reach)
    samples = np.pad(np.eye(size), ((EDGE, EDGE), (0, 0)), mode="edge")
    coefficients = ndimage.spline_filter1d(samples, order=3, axis=0, mode="mirror")
    first = np.floor(positions).astype(int)
    t = (positions - first)[:, None]
    basis = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3, t**3)
    weights = sum(b / 6 * coefficients[first + EDGE - 1 + k] for k, b in enumerate(basis))
    weights = np.asarray(weights)
    weights[np.abs(weights) < NEGLIGIBLE] = 0
    return weights.astype(np.float32)


def support(weights: NDArray[np.float32]) -> slice:
    """The samples that any row of `weights` uses."""
    used = np.flatnonzero(weights.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1)


def cut_blocks(weights: NDArray[np.float32]) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Banded weights as dense blocks: (rows, columns, weights of the block)."""
    blocks = []
    for start in range(0, len(weights), BLOCK):
        rows = slice(start, min(start + BLOCK, len(weights)))
        columns = support(weights[rows])
        blocks.append((rows, columns, np.ascontiguousarray(weights[rows, columns])))
    return blocks


def apply_blocks(
    blocks: list[tuple[slice, slice, NDArray[np.float32]]],
    samples: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """out = weights @ samples, for samples (size, n) and out (rows, n)."""
    for rows, columns, block in blocks:
        np.matmul(block, samples[columns], out=out[rows])
