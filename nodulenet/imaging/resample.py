"""Cubic B-spline interpolation of a whole volume, one axis after another."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# The cardinal cubic spline decays by 0.27 a sample: of 255 levels less than 1e-3 is cut off.
NEGLIGIBLE = 1e-6
EDGE = 12
BLOCK = 48


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


def blocks(weights: NDArray[np.float32]) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Cut banded weights into dense blocks: (rows, columns, weights of the block)."""
    cut = []
    for start in range(0, len(weights), BLOCK):
        rows = slice(start, min(start + BLOCK, len(weights)))
        columns = support(weights[rows])
        cut.append((rows, columns, np.ascontiguousarray(weights[rows, columns])))
    return cut


def apply_blocks(
    cut: list[tuple[slice, slice, NDArray[np.float32]]],
    samples: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """out = weights @ samples, for samples (size, n) and out (rows, n)."""
    for rows, columns, block in cut:
        np.matmul(block, samples[columns], out=out[rows])
