"""The voxel grid of a rendered scan in mm, and a canvas to paint small shapes on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Position = tuple[Floats, Floats, Floats]
EVERYTHING = (slice(None), slice(None), slice(None))


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel positions in mm, the origin in the middle of the window.

    z: (Z,) positions of the slices, y and x: (Y,) and (X,) of rows and columns.
    """

    z: Floats
    y: Floats
    x: Floats

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(z, y, x) in mm."""
        z, y, x = (float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (self.z, self.y, self.x))
        return z, y, x

    @property
    def shape(self) -> tuple[int, int, int]:
        """(Z, Y, X) in voxels."""
        return len(self.z), len(self.y), len(self.x)

    def open(self, box: tuple[slice, slice, slice] = EVERYTHING) -> Position:
        """Coordinates (z, y, x) in mm of a box of voxels, shaped to broadcast."""
        z, y, x = (
            axis[part].astype(np.float32)
            for axis, part in zip((self.z, self.y, self.x), box, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def position(self, index: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices (..., 3) -> (z, y, x) mm."""
        return self._first() + np.asarray(index, float) * self.spacing

    def index(self, position: ArrayLike) -> NDArray[np.float64]:
        """(z, y, x) mm (..., 3) -> voxel indices."""
        return (np.asarray(position, float) - self._first()) / self.spacing

    def _first(self) -> NDArray[np.float64]:
        return np.array([self.z[0], self.y[0], self.x[0]], float)


def make_grid(slices: int, slice_spacing: float, pixel: float, size: int) -> Grid:
    """A grid of `slices` x `size` x `size` voxels; spacings in mm."""
    z = (np.arange(slices) - (slices - 1) / 2) * slice_spacing
    side = (np.arange(size) - (size - 1) / 2) * pixel
    return Grid(z, side, side)


def edge(depth: Floats, width: float) -> Floats:
    """Depth below a surface in mm -> coverage in 0..1, rising over `width` mm."""
    return np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)


@dataclass(frozen=True, eq=False)
class Canvas:
    """A volume (z, y, x) in HU, which painting changes, and its grid. Positions are in mm."""

    volume: Floats
    grid: Grid

    def blend(
        self, low: NDArray, high: NDArray, coverage: Callable[..., Floats], hu: float
    ) -> None:
        """Blend `hu` into the box low..high (clipped) by `coverage`, 0..1, of open (z, y, x)."""
        first = np.maximum(np.floor(self.grid.index(low)).astype(int), 0)
        last = np.minimum(np.ceil(self.grid.index(high)).astype(int) + 1, self.grid.shape)
        if (last <= first).any():
            return
        z, y, x = map(slice, first, last)
        cover = coverage(*self.grid.open((z, y, x)))
        self.volume[z, y, x] += cover * (np.float32(hu) - self.volume[z, y, x])

    def ellipsoid(self, centre: NDArray, axes: NDArray, radii: NDArray, hu: float) -> None:
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

        self.blend(centre - reach, centre + reach, coverage, hu)

    def tube(self, ends: NDArray, radii: tuple[float, float], hu: float) -> None:
        """Paint a cone with round ends from ends[0] to ends[1] (z, y, x), radii in mm."""
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
            # A tube thinner than the width of the edge covers its voxels only in part.
            return edge(radius - distance, 0.9) * np.minimum(1, radius / np.float32(0.45))

        self.blend(ends.min(axis=0) - reach, ends.max(axis=0) + reach, coverage, hu)
