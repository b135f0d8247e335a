"""Fields of depth below a surface: mm, positive inside, negative outside."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nodulenet.phantom.grid import Floats, Grid, Position


def ellipse(x: Floats, y: Floats, a: Floats | float, b: Floats | float, power: float) -> Floats:
    """Depth in a superellipse, to first order in the distance from its surface."""
    u, v = np.abs(x / a) + 1e-3, np.abs(y / b) + 1e-3
    if power == 2:
        rho = np.hypot(u, v)
        return (1 - rho) / np.hypot(u / rho / a, v / rho / b)
    rho = (u**power + v**power) ** (1 / power)
    gradient = np.hypot((u / rho) ** (power - 1) / a, (v / rho) ** (power - 1) / b)
    return (1 - rho) / gradient


def ball(position: Position, centre: NDArray, radii: NDArray) -> Floats:
    """Depth in an ellipsoid along the axes, to first order; centre and radii as (z, y, x) mm."""
    z, y, x = (
        (c - np.float32(p)) / np.float32(r) for c, p, r in zip(position, centre, radii, strict=True)
    )
    rho = np.sqrt(z * z + y * y + x * x) + np.float32(1e-3)
    slope = [u / rho / np.float32(r) for u, r in zip((z, y, x), radii, strict=True)]
    return (1 - rho) / np.sqrt(slope[0] ** 2 + slope[1] ** 2 + slope[2] ** 2)


def capsule(position: Position, centre: NDArray, core: NDArray, radius: float) -> Floats:
    """Depth in a capsule from `centre` halfway to `core` at the same level."""
    z, y, x = (c - np.float32(p) for c, p in zip(position, centre, strict=True))
    axis = (0.5 * (core - centre)).astype(np.float32)
    part = np.clip((y * axis[1] + x * axis[2]) / (axis[1] ** 2 + axis[2] ** 2), 0, 1)
    square = z**2 + (y - part * axis[1]) ** 2 + (x - part * axis[2]) ** 2
    return np.float32(radius) - np.sqrt(square)


def joined(a: Floats, b: Floats, smooth: float) -> Floats:
    """Union of two shapes, rounded where the surfaces are closer than `smooth` mm."""
    near = np.maximum(np.float32(smooth) - np.abs(a - b), 0)
    return np.maximum(a, b) + near * near / np.float32(4 * smooth)


def without(a: Floats, b: Floats, smooth: float) -> Floats:
    """The first shape less the second, rounded likewise."""
    return -joined(-a, b, smooth)


def smooth_noise(grid: Grid, scale: float, rng: np.random.Generator) -> Floats:
    """Gaussian noise of unit variance, smoothed over `scale` mm."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    noise = gaussian_filter(noise, [scale / step for step in grid.spacing], mode="wrap")
    return noise / noise.std()
