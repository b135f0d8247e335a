"""The large shapes of a synthetic chest: body, thorax, lungs, heart, great vessels, fissures.

Shapes are fields of depth in mm, positive inside, on a coarse grid of the whole chest. The origin
is in the middle of the lungs; z rises to the head, y to the back, x to the left.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from nodulenet.phantom.grid import Floats, Grid, Position, make_grid
from nodulenet.phantom.parameters import Parameters
from nodulenet.phantom.shapes import ball, capsule, ellipse, joined, smooth_noise, without

COARSE_Z, COARSE_Y, COARSE_X = 3.0, 104, 128
OVERHANG = 12.0
HILUM = 12.0

Sphere = tuple[NDArray[np.float64], float]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Depths in mm on `grid` (coarse, (z, y, x)), the midline x and the lungs' centre y.

    left, right: the lungs; thorax: inside of the ribs; body: inside of the skin; heart: heart and
    great vessels; abdomen: below the diaphragm; texture: smooth noise of unit variance. half_width,
    half_depth, height: mm; tilt: slope of the fissures by its usual value.
    """

    grid: Grid
    left: Floats
    right: Floats
    thorax: Floats
    body: Floats
    heart: Floats
    abdomen: Floats
    texture: Floats
    middle: float
    centre_y: float
    half_width: float
    half_depth: float
    height: float
    tilt: float

    @functools.cached_property
    def lungs(self) -> Floats:
        """Depth in either lung."""
        return np.maximum(self.left, self.right)

    def lung_depth(self, position: NDArray) -> NDArray[np.float64]:
        """Depth in either lung at (..., 3) positions (z, y, x) in mm, interpolated linearly."""
        index = np.moveaxis(self.grid.index(position), -1, 0)
        return map_coordinates(self.lungs, index, order=1, mode="nearest")

    def slice_of(self, field: Floats, z: float, shape: tuple[int, int]) -> Floats:
        """A field on the fine slice at z (mm) of `shape` (y, x)."""
        level = np.clip((z - self.grid.z[0]) / COARSE_Z, 0, len(self.grid.z) - 1.001)
        lower, part = int(level), np.float32(level - int(level))
        coarse = field[lower] * (1 - part) + field[lower + 1] * part
        return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)

    def across(self, x: Floats) -> Floats:
        """x (mm) from the midline, 1 at the side of the lungs."""
        return (x - np.float32(self.middle)) / np.float32(self.half_width)

    def oblique(self, z: Floats | float, y: Floats, x: Floats) -> Floats:
        """Signed distance (mm) from the oblique fissures; negative in front of them.

        They rise from the front of the diaphragm to the back of the upper third.
        """
        slope = np.float32(2.3 * self.half_depth / self.height * self.tilt)
        bow = np.float32(14) * self.across(x) ** 2
        sheet = np.float32(self.centre_y + 0.3 * self.half_depth) + slope * z - bow
        return (y - sheet) / np.sqrt(1 + slope**2)

    def horizontal(self, z: Floats | float, y: Floats, x: Floats) -> Floats:
        """Signed distance (mm) from the horizontal fissure of the right lung; positive above."""
        bow = np.float32(0.12) * (y - np.float32(self.centre_y)) * np.float32(self.tilt)
        return z - np.float32(0.04 * self.height) - bow + np.float32(9) * self.across(x) ** 2

    def lobes(self, position: NDArray) -> NDArray[np.int64]:
        """The lobe of each position (N, 3): left lower 0, upper 1; right lower 2, upper 3,
        middle 4.
        """
        z, y, x = np.moveaxis(position, -1, 0)
        front = self.oblique(z, y, x) < 0
        above = self.horizontal(z, y, x) > 0
        right = np.where(front, np.where(above, 3, 4), 2)
        return np.where(x > self.middle, np.where(front, 1, 0), right)

    def fissures(self, z: Floats | float, y: Floats, x: Floats) -> Floats:
        """Distance (mm) from the nearest fissure."""
        oblique = self.oblique(z, y, x)
        horizontal = np.where((oblique < 0) & (x < self.middle), self.horizontal(z, y, x), np.inf)
        return np.minimum(np.abs(oblique), np.abs(horizontal))


@dataclass(frozen=True, eq=False)
class _Frame:
    """Open coordinates (z, y, x) in mm about the middle of the lungs, and the size of the lungs."""

    z: Floats
    y: Floats
    x: Floats
    half_width: float
    half_depth: float
    height: float

    @property
    def position(self) -> Position:
        return self.z, self.y, self.x

    @property
    def rise(self) -> Floats:
        """0 at mid-chest and below, 1 at the apex."""
        return np.clip((self.z / self.height - 0.02) / 0.48, 0, 1)

    @property
    def swell(self) -> Floats:
        """Size of the cross-section at each z; it falls to the apex."""
        return np.maximum(1 - self.rise**2.4, 0.004) ** np.float32(0.5)


def build_anatomy(
    grid: Grid, spheres: Sequence[Sphere], drawn: Parameters, rng: np.random.Generator
) -> Anatomy:
    """A chest on the scan's grid whose lungs contain spheres (centre (z, y, x), radius)."""
    coarse = _coarse_grid(grid, drawn.height)
    middle = _midline(spheres)
    rows = [centre[1] for centre, _ in spheres] or [0.0]
    centre_y = float(np.clip((min(rows) + max(rows)) / 2, -15, 25))
    reach = max(abs(row - centre_y) for row in rows)
    half_width = float(min(drawn.half_width, 0.42 * (grid.x[-1] - grid.x[0])))
    half_depth = float(max(reach + 8, drawn.flatness * half_width))
    z, y, x = coarse.open()
    frame = _Frame(
        z, y - np.float32(centre_y), x - np.float32(middle), half_width, half_depth, drawn.height
    )
    wobble = 2.0 * smooth_noise(coarse, 18.0, rng)
    moved = [(centre - [0, centre_y, middle], radius) for centre, radius in spheres]
    heart = _heart(frame, drawn)
    inner = joined(heart + 0.5 * wobble, _spine(frame), 8)
    domes = [_diaphragm(frame, side, drawn) + wobble for side in (1, -1)]
    left, right = (
        _lung(frame, side, (inner, dome), moved, wobble)
        for side, dome in zip((1, -1), domes, strict=True)
    )
    abdomen = np.where(frame.x > 0, *domes).astype(np.float32)
    thorax, body = _wall(frame, np.maximum(left, right), drawn)
    texture = smooth_noise(coarse, 8.0, rng)
    return Anatomy(
        grid=coarse,
        left=left,
        right=right,
        thorax=thorax,
        body=body,
        heart=heart.astype(np.float32),
        abdomen=abdomen,
        texture=texture,
        middle=middle,
        centre_y=centre_y,
        half_width=half_width,
        half_depth=half_depth,
        height=drawn.height,
        tilt=float(rng.uniform(0.85, 1.15)),
    )


def _lung(
    frame: _Frame,
    side: int,
    around: tuple[Floats, Floats],
    spheres: Sequence[Sphere],
    wobble: Floats,
) -> Floats:
    """Depth in the left (side 1) or right (-1) lung, bulging where its lesions need room.

    around: depth in what lies between the lungs, and below the dome of the diaphragm.
    """
    inner, dome = around
    half = (frame.half_width - HILUM) / 2
    middle = HILUM + half * (1 - np.float32(0.3) * frame.rise)
    x, y = frame.x - side * middle, frame.y - np.float32(0.12 * frame.half_depth) * frame.rise
    lung: Floats = ellipse(x, y, half * frame.swell, frame.half_depth * frame.swell, 2.3) + wobble
    lung = without(lung, inner, 8)
    lung = without(lung, dome, 4)
    core = np.array([0, 0, side * (HILUM + half)])
    for centre, radius in spheres:
        if np.sign(centre[2]) == side:
            lung = joined(lung, capsule(frame.position, centre, core, radius + 6), 22)
    # The lungs stay apart: 4 mm between them where a bulge reaches the midline.
    return np.minimum(lung, side * frame.x - 2).astype(np.float32)


def _diaphragm(frame: _Frame, side: int, drawn: Parameters) -> Floats:
    """Depth below the dome of the diaphragm, which is higher on the right and falls to the back."""
    half = (frame.half_width - HILUM) / 2
    across = (frame.x - side * (HILUM + half)) / half
    out = across**2 + (frame.y / np.float32(frame.half_depth) + np.float32(0.15)) ** 2
    top = -0.5 * frame.height + 1.25 * drawn.dome * (1 - out) + (10 if side < 0 else 0)
    return (top - frame.z) * np.float32(0.8)


def _heart(frame: _Frame, drawn: Parameters) -> Floats:
    """Depth in heart, great vessels, aorta and hila."""
    deep, tall = frame.half_depth, frame.height
    size = np.array([54.0, 40.0, 56.0]) * drawn.heart
    heart = ball(frame.position, np.array([-0.17 * tall, -0.28 * deep, 20]), size)
    heart = heart + np.float32(drawn.beat / 2) * np.sin(frame.z * np.float32(2 * np.pi / 10))
    column = ellipse(
        frame.x - 2, frame.y - np.float32(0.05 * deep), 31 - 9 * frame.rise, 0.62 * deep, 2.0
    )
    heart = joined(heart, np.minimum(column, frame.z + np.float32(0.12 * tall)), 14)
    for side in (1, -1):
        hilum = ball(
            frame.position, np.array([0.02 * tall, 0.08 * deep, side * 30]), np.array([26, 19, 16])
        )
        heart = joined(heart, hilum, 10)
    aorta = ellipse(frame.x - 20, frame.y - np.float32(0.6 * deep), 13.0, 13.0, 2.0)
    aorta = np.minimum(aorta, np.float32(0.2 * tall) - frame.z)
    arch = ball(
        frame.position, np.array([0.2 * tall, 0.25 * deep, 20]), np.array([13, 0.45 * deep, 16])
    )
    return joined(heart, joined(aorta, arch, 8), 8)


def _spine(frame: _Frame) -> Floats:
    back = frame.y - np.float32(0.93 * frame.half_depth)
    disc = 1.2 * np.cos(frame.z * np.float32(2 * np.pi / 25))
    return ellipse(frame.x, back, 23 + disc, 28 + disc, 2.0)


def _wall(frame: _Frame, lungs: Floats, drawn: Parameters) -> tuple[Floats, Floats]:
    """Depth within the ribs and within the skin, both smooth whatever the shape of the lungs."""
    width, depth = frame.half_width, frame.half_depth
    swell = np.maximum(frame.swell, 0.35)
    ribs = ellipse(frame.x, frame.y, width * swell, depth * swell, 2.4)
    thorax = joined(ribs, lungs + 2, 20)
    shoulders = 12 * frame.rise
    fat = np.float32(drawn.fat)
    across, deep = width + 18 + fat + shoulders, float(depth + 20 + fat)
    skin = ellipse(frame.x, frame.y - 2, across, deep, 2.3)
    return thorax.astype(np.float32), joined(skin, thorax + 20, 25).astype(np.float32)


def _coarse_grid(grid: Grid, height: float) -> Grid:
    """The grid of the whole chest, in plane that of the scan, around all of its slices."""
    reach = max(height / 2, abs(grid.z[0]), abs(grid.z[-1])) + OVERHANG
    levels = 2 * int(np.ceil(reach / COARSE_Z)) + 1
    _, y, x = grid.spacing
    steps = (COARSE_Z, y * len(grid.y) / COARSE_Y, x * len(grid.x) / COARSE_X)
    return make_grid(steps, (levels, COARSE_Y, COARSE_X))


def _midline(spheres: Sequence[Sphere]) -> float:
    """The midline nearest to the image's that stays at least 6 mm away from every sphere."""
    for shift in np.arange(0, 60, 2.0):
        for middle in (shift, -shift):
            if all(abs(centre[2] - middle) > radius + 6 for centre, radius in spheres):
                return float(middle)
    raise ValueError("no midline leaves every lesion to one side")
