"""One slice of body, bones, mediastinum and lung tissue, before vessels and findings."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from nodulenet.phantom.anatomy import Anatomy
from nodulenet.phantom.grid import Floats, Grid, blend, edge
from nodulenet.phantom.parameters import Parameters

AIR, FAT, MUSCLE, MARROW, CORTEX = -1000.0, -95.0, 50.0, 170.0, 480.0
CARTILAGE, DISC, FOAM, SHEET = 95.0, 75.0, -860.0, -120.0
GRAIN_SIDE = 96
LIVER = 85.0


@dataclass(frozen=True, eq=False)
class Axis:
    """What is the same in every slice (y, x): the angle (rad) from the back, the distance (mm) from
    the midline, and the coverage of vertebrae, their arches and the sternum.
    """

    angle: Floats
    aside: Floats
    vertebra: Floats
    marrow: Floats
    arch: Floats
    canal: Floats
    sternum: Floats


@dataclass(frozen=True, eq=False)
class Tissue:
    """What slices are made from. grain: (96, 96, 96) periodic, about 1 mm per voxel."""

    grid: Grid
    anatomy: Anatomy
    drawn: Parameters
    grain: Floats
    axis: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) in voxels."""
        return self.grid.shape[1:]


def prepare_tissue(
    grid: Grid, anatomy: Anatomy, drawn: Parameters, rng: np.random.Generator
) -> Tissue:
    """Draw the fine structure of the lungs: vessels and lobules below what the trees contain."""
    grain = rng.standard_normal((GRAIN_SIDE,) * 3, dtype=np.float32)
    grain = gaussian_filter(grain, 1.1, mode="wrap") - gaussian_filter(grain, 3.5, mode="wrap")
    grain /= grain.std()
    # Skewed: there is more dense structure than holes.
    grain = grain + np.float32(0.35) * (grain * grain - 1)
    return Tissue(grid, anatomy, drawn, grain / grain.std(), _axis(grid, anatomy))


def _axis(grid: Grid, anatomy: Anatomy) -> Axis:
    """Vertebrae, sternum and the angles of the ribs."""
    _, (rows,), (columns,) = grid.open()
    y, x = rows - np.float32(anatomy.centre_y), columns - np.float32(anatomy.middle)
    spine_y = 0.9 * anatomy.half_depth + 4
    spine = np.hypot(x, (y - spine_y) * 1.15)
    arch = np.hypot(x * 0.9, y - spine_y - 23)
    sternum = 5 - np.maximum(np.abs(x) - 14, np.abs(y + anatomy.half_depth + 8))
    angle, aside = np.arctan2(np.abs(x), y), np.broadcast_to(np.abs(x), spine.shape)
    return Axis(
        angle=angle,
        aside=aside,
        vertebra=edge(17.0 - spine, 1.2),
        marrow=edge(15.2 - spine, 1.2),
        arch=edge(11 - arch, 1.2),
        canal=edge(7.5 - arch, 1.2),
        sternum=edge(sternum, 1.5),
    )


def tissue_slice(tissue: Tissue, index: int) -> Floats:
    """Slice `index` of the grid in HU, shape (y, x)."""
    anatomy, drawn = tissue.anatomy, tissue.drawn
    z = float(tissue.grid.z[index])
    _, (rows,), (columns,) = tissue.grid.open()
    y, x = rows - np.float32(anatomy.centre_y), columns - np.float32(anatomy.middle)
    body, thorax, lungs, heart, abdomen, texture = (
        anatomy.slice_of(getattr(anatomy, name), z, tissue.shape)
        for name in ("body", "thorax", "lungs", "heart", "abdomen", "texture")
    )
    image = np.full(tissue.shape, AIR, np.float32)
    _outside(image, body, (y, x), drawn)
    blend(image, edge(body, 1.0), MUSCLE)
    blend(image, edge(body - 1.5, 1.0) * edge(np.float32(drawn.fat) - body, 3.0), FAT)
    blend(image, edge(texture * 5 - 6, 3.0) * edge(body - 4, 2.0) * edge(-thorax - 3, 2.0), FAT)
    blend(image, edge(thorax - 1, 2.0), FAT + 20 * texture)
    blend(image, edge(thorax - 1, 2.0) * edge(abdomen, 2.0), LIVER + 12 * texture)
    blend(image, edge(heart, 1.2), drawn.blood_hu * 0.9)
    for cover, hu in _bones(tissue.axis, z, thorax):
        blend(image, cover, hu)
    # A film of tissue between the lung and the fat around it: pleura and intercostal muscle.
    blend(image, edge(3.2 - np.abs(lungs), 1.0), MUSCLE - 15)
    inside = edge(lungs, 0.8)
    image += inside * (_parenchyma(tissue, (z, rows, columns), lungs, texture) - image)
    sheet = np.maximum(1 - anatomy.fissures(z, rows, columns), 0)  # falls to 0 at 1 mm
    cover = np.float32(drawn.fissure) * sheet * inside
    blend(image, cover, SHEET)
    return image


def _parenchyma(
    tissue: Tissue, position: tuple[float, Floats, Floats], lungs: Floats, texture: Floats
) -> Floats:
    """Lung tissue everywhere: gradient to the back, coarse and fine structure, emphysema."""
    anatomy, drawn = tissue.anatomy, tissue.drawn
    z, rows, _ = position
    back = (rows - np.float32(anatomy.centre_y)) / np.float32(anatomy.half_depth)
    grain = _tiled(tissue.grain[int(np.floor(z)) % GRAIN_SIDE], tissue)
    image = np.float32(drawn.lung_hu) + np.float32(drawn.gradient / 2) * back
    image = image + np.float32(drawn.patches) * texture + np.float32(drawn.grain) * grain
    if drawn.emphysema > 0:
        # Lobules of 5 to 15 mm with sharp edges, more of them in the upper half.
        holes = texture + np.float32(0.45) * _tiled(_between(tissue.grain, z / 4), tissue, 4.0)
        upper = np.float32(0.9 * drawn.emphysema + 0.8 * z / anatomy.height)
        image = blend_to(image, edge(upper + holes - np.float32(1.7), 0.4), -975.0)
    if drawn.cap > 0 and z > 0.34 * anatomy.height:
        thick = np.float32(drawn.cap * min((z / anatomy.height - 0.34) / 0.1, 1))
        image = blend_to(image, edge(thick - lungs + 1.5 * texture, 2.0), -60.0)
    if drawn.dependent > 0:
        band = edge(np.float32(2 + 7 * drawn.dependent) - lungs + 3 * texture, 7.0)
        band = band * edge(back - np.float32(0.45), 0.35)
        image = blend_to(image, band * np.float32(0.35), -350.0)
    return image


def blend_to(image: Floats, cover: Floats, hu: float) -> Floats:
    """A new image, mixed with `hu` by the share that is covered."""
    return image + cover * (np.float32(hu) - image)


def _between(grain: Floats, place: float) -> Floats:
    """A periodic pattern at a place between two of its planes."""
    lower = int(np.floor(place))
    part = np.float32(place - lower)
    return grain[lower % GRAIN_SIDE] * (1 - part) + grain[(lower + 1) % GRAIN_SIDE] * part


def _tiled(tile: Floats, tissue: Tissue, scale: float = 1.0) -> Floats:
    """A periodic pattern of `scale` mm per pixel over a slice."""
    height, width = (
        int(n * step / scale) + 2
        for n, step in zip(tissue.shape, tissue.grid.spacing[1:], strict=True)
    )
    repeats = (-(-height // GRAIN_SIDE), -(-width // GRAIN_SIDE))
    whole = np.tile(tile, repeats)[:height, :width]
    scaled = cv2.resize(whole, tissue.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, np.float32)


def _outside(
    image: Floats, body: Floats, position: tuple[Floats, Floats], drawn: Parameters
) -> None:
    """Clothing, the table and arms beside the chest."""
    y, x = position
    blend(image, 0.2 * edge(1.0 - np.abs(body + 5 + 2 * np.sin(x / 17)), 1.0), FAT)
    table = y - np.float32(drawn.half_width * drawn.flatness + 34 + drawn.fat) + (x / 60) ** 2 * 3
    blend(image, edge(7 - np.abs(table - 8), 1.0), FOAM)
    blend(image, edge(0.8 - np.abs(table), 1.0), -300.0)
    if drawn.arms == 0:
        reach = np.float32(drawn.half_width + 48 + drawn.fat)
        arm = 30 - np.hypot(np.abs(x) - reach, y - 10)
        blend(image, edge(arm, 1.0), FAT)
        blend(image, edge(arm - 7, 2.0), MUSCLE)
        blend(image, edge(arm - 20, 1.0), CORTEX + 300)


def _bones(axis: Axis, z: float, thorax: Floats) -> Iterator[tuple[Floats, float]]:
    """Coverage and HU: slanted ribs with their cartilage, vertebrae with discs, the sternum."""
    wave = np.cos((np.float32(z) + 52 * axis.angle) * np.float32(2 * np.pi / 27))
    yield edge(2.5 - np.abs(thorax + 6), 2.0) * edge(0.1 - wave, 0.5), MUSCLE
    rib = np.minimum((wave - np.float32(0.1)) * 6, 4.2 - np.abs(thorax + 5.5))
    rib = np.minimum(rib, axis.aside - 12)
    bony = edge(np.float32(2.25) - axis.angle, 0.1)
    yield edge(rib, 1.2) * (1 - bony), CARTILAGE
    yield edge(rib, 1.2) * bony, CORTEX
    yield edge(rib - 1.8, 1.2) * bony, MARROW
    disc = float(np.cos(z * 2 * np.pi / 25)) > 0.75
    yield axis.vertebra, DISC if disc else CORTEX - 150
    yield axis.marrow, DISC if disc else MARROW
    yield axis.arch, CORTEX - 150
    yield axis.canal, 30.0
    yield axis.sternum, MARROW + 60
