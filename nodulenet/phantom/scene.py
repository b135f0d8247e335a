"""A whole synthetic chest: planned around given nodules or with its own, and rendered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.phantom.acquisition import acquire
from nodulenet.phantom.chest import Chest, build_chest
from nodulenet.phantom.grid import Floats, Grid, make_grid
from nodulenet.phantom.mimics import Mimic, paint_mimic, place_mimics
from nodulenet.phantom.nodules import Nodule, paint_nodule
from nodulenet.phantom.parameters import Parameters
from nodulenet.phantom.placement import place_nodules
from nodulenet.phantom.tissue import prepare_tissue, tissue_slice
from nodulenet.phantom.tubes import paint_tubes

LEFT_LUNG, RIGHT_LUNG = 3, 4
WALL_HU, LUMEN_HU = 10.0, -990.0
ROUND_MM = 45.0
"""Width (mm) of the image beyond the lungs, on each side."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is drawn in one scan."""

    chest: Chest
    nodules: list[Nodule]
    mimics: list[Mimic]

    @property
    def grid(self) -> Grid:
        """The slices of the scan."""
        return self.chest.grid


def free_grid(drawn: Parameters) -> Grid:
    """The slices that the parameters ask for: a part of the chest, as wide and deep as the body."""
    step = drawn.thickness * drawn.overlap
    slices = max(3, int(min(drawn.extent, drawn.height) / step))
    sides = (2 * (drawn.half_width * share + ROUND_MM) for share in (drawn.flatness, 1))
    rows, columns = (int(side / drawn.pixel) for side in sides)
    return at_level(make_grid((step, drawn.pixel, drawn.pixel), (slices, rows, columns)), drawn)


def at_level(grid: Grid, drawn: Parameters) -> Grid:
    """The grid at the level of the chest that the parameters ask for."""
    room = max(drawn.height - float(grid.z[-1] - grid.z[0]), 0)
    return Grid(grid.z + (drawn.level - 0.5) * room, grid.y, grid.x)


def plan_free(drawn: Parameters, series: Sequence[str], seed: int) -> Scene:
    """A chest with nodules of the donors' series wherever they fit."""
    rng = np.random.default_rng([seed, 1])
    chest = build_chest(free_grid(drawn), drawn, [], rng)
    return _with_mimics(chest, place_nodules(chest, series, rng), rng)


def plan_around(grid: Grid, nodules: Sequence[Nodule], drawn: Parameters, seed: int) -> Scene:
    """A chest around nodules that lie where they lie."""
    rng = np.random.default_rng([seed, 1])
    spheres = [(nodule.centre, nodule.shape.reach) for nodule in nodules]
    return _with_mimics(build_chest(grid, drawn, spheres, rng), list(nodules), rng)


def _with_mimics(chest: Chest, nodules: list[Nodule], rng: np.random.Generator) -> Scene:
    away = [(nodule.centre, nodule.radius) for nodule in nodules]
    return Scene(chest, nodules, place_mimics(chest, away, rng))


def render_ct(scene: Scene, seed: int) -> NDArray[np.int16]:
    """The scene as a CT: (z, y, x) int16 HU, noise included."""
    fine = finer(scene.grid, scene.chest.drawn.plane)
    volume = render_chest(scene, fine, seed)
    rng = np.random.Generator(np.random.SFC64([seed, 2]))
    return acquire(volume, fine, scene.chest, rng)


def finer(grid: Grid, plane: float) -> Grid:
    """The grid with every slice divided into planes at most `plane` mm apart."""
    step, y, x = grid.spacing
    planes = int(np.ceil(step / plane))
    fine = make_grid((step / planes, y, x), (len(grid.z) * planes, len(grid.y), len(grid.x)))
    return Grid(fine.z + (grid.z[0] + grid.z[-1]) / 2, fine.y, fine.x)


def render_chest(scene: Scene, fine: Grid, seed: int) -> Floats:
    """The chest on a fine grid in HU, without noise: float32 (z, y, x)."""
    drawn, trees = scene.chest.drawn, scene.chest.trees
    tissue = prepare_tissue(fine, scene.chest.anatomy, drawn, np.random.default_rng([seed, 4]))
    volume = np.empty(fine.shape, np.float32)
    for index in range(len(volume)):
        volume[index] = tissue_slice(tissue, index)
    for tree in trees.vessels:
        paint_tubes(volume, fine, tree.tubes, drawn.blood_hu, drawn.lung_hu)
    paint_tubes(volume, fine, trees.bronchi.wider(trees.walls), WALL_HU, drawn.lung_hu)
    paint_tubes(volume, fine, trees.bronchi, LUMEN_HU, WALL_HU)
    for mimic in scene.mimics:
        paint_mimic(volume, fine, mimic, drawn.lung_hu)
    for nodule in scene.nodules:
        paint_nodule(volume, fine, nodule, drawn.lung_hu)
    return volume


def render_lungs(scene: Scene) -> NDArray[np.uint8]:
    """The lung mask (z, y, x) with LUNA16's labels: 3 left, 4 right."""
    grid, anatomy = scene.grid, scene.chest.anatomy
    labels = np.zeros(grid.shape, np.uint8)
    for index, z in enumerate(grid.z):
        for field, label in ((anatomy.left, LEFT_LUNG), (anatomy.right, RIGHT_LUNG)):
            labels[index][anatomy.slice_of(field, float(z), grid.shape[1:]) > 0] = label
    return labels
