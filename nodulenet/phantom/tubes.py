"""Thin tubes and ellipsoids in a volume, with the share of each voxel that they fill."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.phantom.grid import Floats, Grid

EDGE_MM = 0.7
"""Width over which the coverage falls at a surface: about the diagonal of a voxel's face."""


@dataclass(frozen=True, eq=False)
class Tubes:
    """Cones with round ends: starts and ends (N, 3) as (z, y, x) mm, radii (N, 2) mm at both."""

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    radii: NDArray[np.float64]

    def wider(self, by: NDArray | float) -> "Tubes":
        """The same tubes with larger radii."""
        return Tubes(self.starts, self.ends, self.radii + by)


def join_tubes(parts: list[Tubes]) -> Tubes:
    """All tubes of a list."""
    if not parts:
        return Tubes(np.empty((0, 3)), np.empty((0, 3)), np.empty((0, 2)))
    return Tubes(
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts]),
        np.concatenate([part.radii for part in parts]),
    )


def chain(points: NDArray, radii: NDArray) -> Tubes:
    """One tube through points (N, 3) with a radius (N,) at each."""
    return Tubes(points[:-1], points[1:], np.column_stack([radii[:-1], radii[1:]]))


def paint_tubes(volume: Floats, grid: Grid, tubes: Tubes, hu: float, behind: float) -> None:
    """Paint tubes of `hu` that lie in tissue of `behind`, both HU, into a volume (z, y, x).

    Tubes denser than what is behind them raise voxels, others lower them; where tubes overlap, the
    strongest counts, so that a joint is as dense as its branches. What a tube adds per mm is its
    cross-section (the mean of all positions on the grid), however thin it is: a ramp of width w
    about its surface covers pi (r² + w²/12), or pi (r + w/2)³ / 3 w below r = w/2, and the
    coverage is scaled to pi r².
    """
    lines = np.concatenate([tubes.starts, tubes.ends, tubes.radii], axis=1)
    _paint(volume, _place(grid), lines, (np.float32(hu), np.float32(behind)))


def _place(grid: Grid) -> NDArray[np.float64]:
    """The position of the first voxel and the spacing, (2, 3) in mm."""
    return np.array([[grid.z[0], grid.y[0], grid.x[0]], grid.spacing], np.float64)


@njit(cache=True, nogil=True, fastmath=True)
def _painted(value, cover, hus):  # type: ignore[no-untyped-def]
    """A voxel under something of hus[0] in tissue of hus[1]: the denser of both, or the paler."""
    hu, behind = hus
    new = np.float32(behind + cover * (hu - behind))
    return max(value, new) if hu > behind else min(value, new)


@njit(cache=True, nogil=True, fastmath=True)
def _paint(volume, place, lines, hus):  # type: ignore[no-untyped-def]
    half = EDGE_MM / 2
    first, step = place
    starts, ends, radii = lines[:, :3], lines[:, 3:6], lines[:, 6:]
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for n in range(len(lines)):
        a, axis = starts[n], ends[n] - starts[n]
        length2 = max((axis**2).sum(), 1e-9)
        reach = max(radii[n, 0], radii[n, 1]) + half
        for d in range(3):
            near, far = min(a[d], ends[n, d]) - reach, max(a[d], ends[n, d]) + reach
            low[d] = max(int(np.ceil((near - first[d]) / step[d])), 0)
            high[d] = min(int(np.floor((far - first[d]) / step[d])) + 1, volume.shape[d])
        for i in range(low[0], high[0]):
            pz = first[0] + i * step[0] - a[0]
            for j in range(low[1], high[1]):
                py = first[1] + j * step[1] - a[1]
                for k in range(low[2], high[2]):
                    px = first[2] + k * step[2] - a[2]
                    t = (pz * axis[0] + py * axis[1] + px * axis[2]) / length2
                    t = min(max(t, 0.0), 1.0)
                    r = radii[n, 0] + t * (radii[n, 1] - radii[n, 0])
                    qz, qy, qx = pz - t * axis[0], py - t * axis[1], px - t * axis[2]
                    d2 = qz * qz + qy * qy + qx * qx
                    if d2 >= (r + half) ** 2:
                        continue
                    cover = min((r + half - np.sqrt(d2)) / EDGE_MM, 1.0)
                    if r > half:
                        cover *= r * r / (r * r + EDGE_MM**2 / 12)
                    else:
                        cover *= 3 * r * r * EDGE_MM / (r + half) ** 3
                    volume[i, j, k] = _painted(volume[i, j, k], cover, hus)


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """centre (z, y, x) mm, `axes` (3, 3) its unit axes as rows, radii (3,) mm, HU."""

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    radii: NDArray[np.float64]
    hu: float


def paint_ellipsoid(volume: Floats, grid: Grid, one: Ellipsoid, behind: float) -> None:
    """Paint an ellipsoid that lies in tissue of `behind` HU."""
    reach = np.sqrt(((one.axes.T * one.radii) ** 2).sum(axis=1)) + EDGE_MM
    scaled = one.axes / one.radii[:, None]
    # A spot thinner than the ramp is made fainter, so that it adds its own volume.
    thin = 1 / float(np.prod(1 + (EDGE_MM / (2.6 * one.radii)) ** 2))
    hu = behind + thin * (one.hu - behind)
    shape = np.ascontiguousarray(np.vstack([one.centre, reach, scaled]))  # else compiled twice
    hus = np.float32(hu), np.float32(behind)
    _paint_ellipsoid(volume, _place(grid), shape, float(one.radii.min()), hus)


@njit(cache=True, nogil=True, fastmath=True)
def _paint_ellipsoid(volume, place, shape, thinnest, hus):  # type: ignore[no-untyped-def]
    first, step = place
    centre, reach, scaled = shape[0], shape[1], shape[2:]
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for d in range(3):
        low[d] = max(int(np.ceil((centre[d] - reach[d] - first[d]) / step[d])), 0)
        high[d] = min(
            int(np.floor((centre[d] + reach[d] - first[d]) / step[d])) + 1, volume.shape[d]
        )
    for i in range(low[0], high[0]):
        z = first[0] + i * step[0] - centre[0]
        for j in range(low[1], high[1]):
            y = first[1] + j * step[1] - centre[1]
            for k in range(low[2], high[2]):
                x = first[2] + k * step[2] - centre[2]
                square = 0.0
                for d in range(3):
                    square += (scaled[d, 0] * z + scaled[d, 1] * y + scaled[d, 2] * x) ** 2
                cover = (1 - np.sqrt(square)) * thinnest / EDGE_MM + 0.5
                cover = min(max(cover, 0.0), 1.0)
                volume[i, j, k] = _painted(volume[i, j, k], cover, hus)
