"""The large shapes of a synthetic chest: body, thorax and two lungs that contain given lesions.

Shapes are fields of depth in mm, positive inside, on a coarse grid that extends beyond the scan
along z; smooth unions of ellipses and capsules keep the surfaces round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from nodulenet.demo.grid import Floats, Grid, Position, make_grid

COARSE_SIDE = 128
COARSE_Z = 3.0
OVERHANG = 18.0
HILUM = 12.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Depths in mm on `grid` (coarse, (z, y, x)), the midline x and the lungs' centre y.

    left, right: the lungs; thorax: inside of the ribs; body: inside of the skin; texture:
    smooth noise of unit variance. half_width, half_depth: of the lungs' ellipse, mm.
    """

    grid: Grid
    left: Floats
    right: Floats
    thorax: Floats
    body: Floats
    texture: Floats
    middle: float
    centre_y: float
    half_width: float
    half_depth: float

    @property
    def lungs(self) -> Floats:
        """Depth in either lung."""
        return np.maximum(self.left, self.right)

    def lung_depth(self, position: NDArray) -> NDArray[np.float64]:
        """Depth in either lung at (..., 3) positions (z, y, x) in mm, interpolated linearly."""
        index = np.moveaxis(self.grid.index(position), -1, 0)
        return map_coordinates(self.lungs, index, order=1, mode="nearest")

    def slice_of(self, field: Floats, z: float, side: int) -> Floats:
        """A field on the fine slice at z (mm), shape (side, side)."""
        level = np.clip((z - self.grid.z[0]) / COARSE_Z, 0, len(self.grid.z) - 1.001)
        lower, part = int(level), np.float32(level - int(level))
        coarse = field[lower] * (1 - part) + field[lower + 1] * part
        return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


@dataclass(frozen=True, eq=False)
class _Frame:
    """Open coordinates (z, y, x) in mm about the middle of the lungs, and the size of their ellipse
    at mid-chest, away from which it shrinks (`swell`).
    """

    z: Floats
    y: Floats
    x: Floats
    half_width: float
    half_depth: float

    @property
    def swell(self) -> Floats:
        """Factor of the ellipse at each z."""
        return 1 - 0.1 * ((self.z - 5) / 60) ** 2


def build_anatomy(
    grid: Grid, centres: NDArray, radii: Sequence[float], rng: np.random.Generator
) -> Anatomy:
    """A chest on the scan's grid whose lungs contain a sphere at each of `centres`.

    centres: (N, 3) as (z, y, x) mm, radii: (N,) mm.
    """
    coarse = _coarse_grid(grid)
    middle = _midline(centres, radii)
    rows = centres[:, 1] if len(centres) else np.zeros(1)
    centre_y = float(np.clip((rows.min() + rows.max()) / 2, -15, 25))
    half_width = float(np.clip(0.4 * 2 * grid.x[-1], 104, 126))
    reach = float(np.abs(rows - centre_y).max())
    half_depth = float(np.clip(reach + 8, 0.64 * half_width, 0.72 * half_width))
    texture = _smooth_noise(coarse, 8.0, rng)
    wobble = 2.0 * _smooth_noise(coarse, 20.0, rng)
    z, y, x = coarse.open()
    frame = _Frame(z, y - np.float32(centre_y), x - np.float32(middle), half_width, half_depth)
    spheres = list(zip(centres - [0, centre_y, middle], radii, strict=True))
    left, right = (_lung(frame, side, wobble, spheres) for side in (1, -1))
    thorax, body = _wall(frame, np.maximum(left, right))
    return Anatomy(
        coarse, left, right, thorax, body, texture, middle, centre_y, half_width, half_depth
    )


def _lung(
    frame: _Frame, side: int, wobble: Floats, spheres: Sequence[tuple[NDArray, float]]
) -> Floats:
    """Depth in the left (side 1) or right (-1) lung, bulging where its lesions need room."""
    half = (frame.half_width - HILUM) / 2
    across, depth = half * frame.swell, frame.half_depth * frame.swell
    lung: Floats = _ellipse(frame.x - side * (HILUM + half), frame.y, across, depth, 2.4) + wobble
    lung = -_union(-lung, _mediastinum(frame), 10)
    core = np.array([0, 0, side * (HILUM + half)])
    for centre, radius in spheres:
        if np.sign(centre[2]) == side:
            capsule = _capsule((frame.z, frame.y, frame.x), centre, core, radius + 6)
            lung = _union(lung, capsule, 22)
    # The lungs stay apart: 4 mm between them where a bulge reaches the midline.
    return np.minimum(lung, side * frame.x - 2).astype(np.float32)


def _wall(frame: _Frame, lungs: Floats) -> tuple[Floats, Floats]:
    """Depth within the ribs and within the skin, both smooth whatever the shape of the lungs."""
    width, depth = frame.half_width, frame.half_depth
    ribs = _ellipse(frame.x, frame.y, width * frame.swell, depth * frame.swell, 2.4)
    thorax = _union(ribs, lungs + 2, 20)
    skin = _ellipse(frame.x, frame.y - 2, width + 28 + 0 * frame.z, depth + 30, 2.3)
    return thorax.astype(np.float32), _union(skin, thorax + 20, 25).astype(np.float32)


def _coarse_grid(grid: Grid) -> Grid:
    levels = int(np.ceil((grid.z[-1] - grid.z[0] + 2 * OVERHANG) / COARSE_Z)) + 1
    step = grid.spacing[2] * len(grid.x) / COARSE_SIDE
    return make_grid(levels, COARSE_Z, step, COARSE_SIDE)


def _midline(centres: NDArray, radii: Sequence[float]) -> float:
    """The midline nearest to the image's that stays at least 6 mm away from every lesion."""
    for shift in np.arange(0, 60, 2.0):
        for middle in (shift, -shift):
            if (np.abs(centres[:, 2] - middle) > np.asarray(radii) + 6).all():
                return float(middle)
    raise ValueError("no midline leaves every lesion to one side")


def _mediastinum(frame: _Frame) -> Floats:
    """Depth in heart and spine, which indent the lungs."""
    growth = np.clip(1 - frame.z / 110, 0.7, 1.35)
    heart_y, spine_y = frame.y + 0.35 * frame.half_depth, frame.y - 0.86 * frame.half_depth
    heart = _ellipse(frame.x - 20, heart_y, 46 * growth, 34 * growth, 2.0)
    return _union(heart, _ellipse(frame.x, spine_y, 25 + 0 * frame.z, 30, 2.0), 10)


def _ellipse(x: Floats, y: Floats, a: Floats, b: Floats | float, power: float) -> Floats:
    """Depth in a superellipse, to first order in the distance from its surface."""
    u, v = np.abs(x / a) + 1e-3, np.abs(y / b) + 1e-3
    rho = (u**power + v**power) ** (1 / power)
    gradient = np.hypot((u / rho) ** (power - 1) / a, (v / rho) ** (power - 1) / b)
    return (1 - rho) / gradient


def _capsule(position: Position, centre: NDArray, core: NDArray, radius: float) -> Floats:
    """Depth in a capsule from `centre` halfway to the lung's core at the same level."""
    z, y, x = (c - np.float32(p) for c, p in zip(position, centre, strict=True))
    axis = (0.5 * (core - centre)).astype(np.float32)
    part = np.clip((y * axis[1] + x * axis[2]) / (axis[1] ** 2 + axis[2] ** 2), 0, 1)
    square = z**2 + (y - part * axis[1]) ** 2 + (x - part * axis[2]) ** 2
    return np.float32(radius) - np.sqrt(square)


def _union(a: Floats, b: Floats, blend: float) -> Floats:
    """Union of depths, rounded where the surfaces are closer than `blend` mm."""
    near = np.maximum(np.float32(blend) - np.abs(a - b), 0)
    return np.maximum(a, b) + near * near / np.float32(4 * blend)


def _smooth_noise(coarse: Grid, scale: float, rng: np.random.Generator) -> Floats:
    """Unit-variance Gaussian noise smoothed over `scale` mm."""
    noise = rng.standard_normal(coarse.shape, dtype=np.float32)
    noise = gaussian_filter(noise, [scale / step for step in coarse.spacing], mode="wrap")
    return noise / noise.std()
