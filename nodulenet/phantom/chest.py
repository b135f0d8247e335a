"""A chest without nodules: its large shapes and its trees, and the slices of the scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nodulenet.phantom.anatomy import Anatomy, Sphere, build_anatomy
from nodulenet.phantom.grid import Grid
from nodulenet.phantom.parameters import Parameters
from nodulenet.phantom.vessels import Trees, grow_trees


@dataclass(frozen=True, eq=False)
class Chest:
    """grid: the slices of the scan; drawn: the values of its parameters."""

    grid: Grid
    drawn: Parameters
    anatomy: Anatomy
    trees: Trees


def build_chest(
    grid: Grid, drawn: Parameters, spheres: Sequence[Sphere], rng: np.random.Generator
) -> Chest:
    """A chest whose lungs contain the given spheres (centre (z, y, x), radius, mm)."""
    anatomy = build_anatomy(grid, spheres, drawn, rng)
    return Chest(grid, drawn, anatomy, grow_trees(anatomy, drawn, rng))
