"""The voxel grid of a rendered scan in mm, and painting of small shapes into it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
EVERYTHING = (slice(None), slice(None), slice(None))


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel positions in mm, the origin in the middle of the window.

    z: (Z,) positions of the slices, y and x: (512,) of rows and columns.
    """

    z: Floats
    y: Floats
    x: Floats

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(z, y, x) in mm."""
        z, y, x = (float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (self.z, self.y, self.x))
        return z, y, x

    def open(self, box: tuple[slice, slice, slice] = EVERYTHING) -> tuple[Floats, Floats, Floats]:
        """Coordinates (z, y, x) in mm of a box of voxels, shaped to broadcast."""
        z, y, x = (
            axis[part].astype(np.float32)
            for axis, part in zip((self.z, self.y, self.x), box, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(Z, Y, X) in voxels."""
        return len(self.z), len(self.y), len(self.x)

    def position(self, index: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices (..., 3) -> (z, y, x) mm."""
        first = np.array([self.z[0], self.y[0], self.x[0]], float)
        return first + np.asarray(index, float) * self.spacing

    def index(self, position: ArrayLike) -> NDArray[np.float64]:
        """(z, y, x) mm (..., 3) -> voxel indices."""
        first = np.array([self.z[0], self.y[0], self.x[0]], float)
        return (np.asarray(position, float) - first) / self.spacing


def make_grid(slices: int, slice_spacing: float, pixel: float, size: int = 512) -> Grid:
    """A grid of `slices` x `size` x `size` voxels; spacings in mm."""
    z = (np.arange(slices) - (slices - 1) / 2) * slice_spacing
    side = (np.arange(size) - (size - 1) / 2) * pixel
    return Grid(z, side, side)


def paint(
    volume: Floats,
    grid: Grid,
    low: NDArray,
    high: NDArray,
    coverage: Callable[[Floats, Floats, Floats], Floats],
    hu: float,
) -> None:
    """Blend `hu` into the box low..high (mm, clipped) of `volume` by `coverage` in 0..1.

    `coverage` is given open (z, y, x) coordinates in mm. Changes `volume` (z, y, x).
    """
    first = np.maximum(np.floor(grid.index(low)).astype(int), 0)
    last = np.minimum(np.ceil(grid.index(high)).astype(int) + 1, grid.shape)
    if (last <= first).any():
        return
    z, y, x = map(slice, first, last)
    box = (z, y, x)
    cover = coverage(*grid.open(box))
    volume[box] += cover * (np.float32(hu) - volume[box])


def edge(depth: Floats, width: float) -> Floats:
    """Depth below a surface in mm -> coverage in 0..1, rising over `width` mm."""
    return np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)


def paint_ellipsoid(
    volume: Floats, grid: Grid, centre: NDArray, axes: NDArray, radii: NDArray, hu: float
) -> None:
    """Paint an ellipsoid: `axes` (3, 3) rows are its unit axes (z, y, x), `radii` in mm."""
    reach = np.abs(axes.T * radii).max(axis=1) + 1
    middle = centre.astype(np.float32)
    frame, radius = axes.astype(np.float32), radii.astype(np.float32)

    def coverage(z: Floats, y: Floats, x: Floats) -> Floats:
        square = np.float32(0)
        for axis, length in zip(frame, radius, strict=True):
            dz, dy, dx = z - middle[0], y - middle[1], x - middle[2]
            along = axis[0] * dz + axis[1] * dy + axis[2] * dx
            square = square + (along / length) ** 2
        return edge((1 - np.sqrt(square)) * radius.min(), 1.0)

    paint(volume, grid, centre - reach, centre + reach, coverage, hu)


def paint_tube(
    volume: Floats, grid: Grid, ends: NDArray, radii: tuple[float, float], hu: float
) -> None:
    """Paint a cone with round ends from ends[0] to ends[1] (z, y, x mm), radii in mm."""
    start, axis = ends[0].astype(np.float32), (ends[1] - ends[0]).astype(np.float32)
    length2 = np.float32(max(float(axis @ axis), 1e-6))
    reach = max(radii) + 1

    def coverage(z: Floats, y: Floats, x: Floats) -> Floats:
        dz, dy, dx = z - start[0], y - start[1], x - start[2]
        part = np.clip((dz * axis[0] + dy * axis[1] + dx * axis[2]) / length2, 0, 1)
        distance = np.sqrt(
            (dz - part * axis[0]) ** 2 + (dy - part * axis[1]) ** 2 + (dx - part * axis[2]) ** 2
        )
        radius = np.float32(radii[0]) + part * np.float32(radii[1] - radii[0])
        # A tube thinner than the edge is wide covers its voxels in part only.
        return edge(radius - distance, 0.9) * np.minimum(1, radius / np.float32(0.45))

    paint(volume, grid, ends.min(axis=0) - reach, ends.max(axis=0) + reach, coverage, hu)
