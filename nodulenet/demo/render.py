"""Render a synthetic chest CT around the radiologists' outlines."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.records import Reading, SliceGeometry
from nodulenet.demo.anatomy import Anatomy, build_anatomy
from nodulenet.demo.grid import Canvas, Floats, Grid, edge
from nodulenet.demo.lesions import (
    Distractor,
    Lesion,
    fissure,
    fissure_cover,
    lesions_of,
    paint_lesion,
    place_distractors,
)
from nodulenet.demo.vessels import Tree, grow_trees, paint_airways, paint_vessels

AIR, FAT, MUSCLE, BLOOD, MARROW, CORTEX = -1000.0, -95.0, 55.0, 45.0, 180.0, 520.0
LEFT_LUNG, RIGHT_LUNG = 3, 4
LEAVES = 260


@dataclass(frozen=True)
class Look:
    """How a scan was acquired.

    blur_mm, sharpening: of the kernel in the plane, and how much it enhances edges; noise_hu,
    grain: standard deviation of the noise and its correlation in pixels; offset_hu: of the scanner.
    """

    blur_mm: float
    noise_hu: float
    grain: float
    sharpening: float = 0.0
    offset_hu: float = 0.0


LOOKS = {
    "standard": Look(blur_mm=0.55, noise_hu=24.0, grain=0.9),
    "other": Look(blur_mm=0.45, noise_hu=38.0, grain=0.6, sharpening=0.8, offset_hu=-20.0),
}
"""A scanner with a soft kernel, and one with a sharp kernel and a shifted scale."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is drawn in one scan."""

    grid: Grid
    anatomy: Anatomy
    trees: list[Tree]
    lesions: list[Lesion]
    distractors: list[Distractor]


def plan_scene(reading: Reading, geometry: SliceGeometry, grid: Grid, seed: int) -> Scene:
    """Place lungs, vessels and distractors around the marks of a reading."""
    rng = np.random.default_rng([seed, 1])
    lesions = lesions_of(reading, geometry, grid)
    centres = np.array([lesion.centre for lesion in lesions]).reshape(-1, 3)
    anatomy = build_anatomy(grid, centres, [lesion.radius for lesion in lesions], rng)
    trees = grow_trees(anatomy, LEAVES, rng)
    distractors = place_distractors(anatomy, lesions, trees, grid, rng)
    return Scene(grid, anatomy, trees, lesions, distractors)


def render_ct(scene: Scene, seed: int, look: Look) -> NDArray[np.int16]:
    """The scene as a CT: (z, y, x) int16 HU, noise included."""
    volume = np.empty(scene.grid.shape, np.float32)
    for index in range(len(volume)):
        volume[index] = _anatomy_slice(scene.grid, scene.anatomy, index)
    canvas = Canvas(volume, scene.grid)
    paint_vessels(canvas, scene.anatomy, scene.trees)
    paint_airways(canvas, scene.anatomy, scene.trees[::2])
    for one in scene.distractors:
        canvas.ellipsoid(one.centre, one.axes, one.radii, one.hu)
    for lesion in scene.lesions:
        paint_lesion(canvas, lesion)
    rng = np.random.Generator(np.random.SFC64([seed, 2]))
    return _acquire(volume, scene.grid, look, rng)


def render_lungs(grid: Grid, anatomy: Anatomy) -> NDArray[np.uint8]:
    """The lung mask (z, y, x) with LUNA16's labels: 3 left, 4 right."""
    labels = np.zeros(grid.shape, np.uint8)
    for index, z in enumerate(grid.z):
        for field, label in ((anatomy.left, LEFT_LUNG), (anatomy.right, RIGHT_LUNG)):
            labels[index][anatomy.slice_of(field, float(z), len(grid.y)) > 0] = label
    return labels


def _anatomy_slice(grid: Grid, anatomy: Anatomy, index: int) -> Floats:
    """Body, bones, mediastinum and lungs of one slice in HU, shape (y, x)."""
    z, side = float(grid.z[index]), len(grid.y)
    _, (rows,), (columns,) = grid.open()
    y, x = rows - np.float32(anatomy.centre_y), columns - np.float32(anatomy.middle)
    names = ("body", "thorax", "lungs", "texture")
    body, thorax, lungs, texture = (
        anatomy.slice_of(getattr(anatomy, name), z, side) for name in names
    )
    image = np.full((side, side), AIR, np.float32)
    _blend(image, edge(body, 1.0), MUSCLE)
    _blend(image, edge(body - 1.5, 1.0) * edge(-thorax - 11, 3.0), FAT)
    _blend(image, edge(thorax - 1, 2.0), BLOOD)
    _blend(image, edge(thorax - 4, 2.0) * edge(texture * 6 - 3, 4.0), FAT)
    for cover, hu in _bones((z, y, x), thorax, anatomy.half_depth):
        _blend(image, cover, hu)
    parenchyma = -868 + 22 * (y / np.float32(anatomy.half_depth)) + 14 * texture
    in_lungs = edge(lungs, 0.9)
    image += in_lungs * (parenchyma - image)
    sheet = fissure(anatomy, z, rows, columns)
    _blend(image, fissure_cover(sheet) * in_lungs, BLOOD)
    return image


def _bones(
    position: tuple[float, Floats, Floats], thorax: Floats, half_depth: float
) -> Iterator[tuple[Floats, float]]:
    """Coverage and HU: slanted ribs around the thorax, a vertebra with its canal, the sternum."""
    z, y, x = position
    angle = np.arctan2(np.abs(x), y)
    wave = np.cos((np.float32(z) + 52 * angle) * np.float32(2 * np.pi / 27))
    rib = np.minimum((wave - np.float32(0.1)) * 6, 4.2 - np.abs(thorax + 6))
    rib = np.minimum(rib, np.abs(x) - 12)
    yield edge(rib, 1.2), CORTEX
    yield edge(rib - 2.0, 1.2), MARROW
    spine_y = 0.9 * half_depth
    spine = np.hypot(x, (y - spine_y) * 1.15)
    yield edge(17.0 - spine, 1.2), CORTEX
    yield edge(15.2 - spine, 1.2), MARROW
    arch = np.hypot(x * 0.9, y - spine_y - 23)
    yield edge(11 - arch, 1.2), CORTEX - 150
    yield edge(7.5 - arch, 1.2), 30.0
    sternum = 5 - np.maximum(np.abs(x) - 14, np.abs(y + half_depth + 8))
    yield edge(sternum, 1.5), MARROW + 60


def _blend(image: Floats, cover: Floats, hu: float) -> None:
    image += cover * (np.float32(hu) - image)


def _acquire(volume: Floats, grid: Grid, look: Look, rng: np.random.Generator) -> NDArray[np.int16]:
    """Blur every slice as a reconstruction does and add correlated noise."""
    scan = np.empty(volume.shape, np.int16)
    sigma = look.blur_mm / grid.spacing[2]
    # Thin slices are noisier, less than by the square root as kernels are chosen to compensate.
    amplitude = look.noise_hu * min(1.3, (1.25 / grid.spacing[0]) ** 0.25)
    gain = amplitude * 2 * np.sqrt(np.pi) * look.grain
    for index, image in enumerate(volume):
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), look.grain) * np.float32(gain)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
        if look.sharpening:
            soft = cv2.GaussianBlur(image, (0, 0), 2 * sigma)
            image += np.float32(look.sharpening) * (image - soft)
        image += noise + np.float32(look.offset_hu)
        scan[index] = np.clip(np.rint(image), -1024, 3071)
    return scan
