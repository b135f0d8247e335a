"""What looks like a nodule but is not one, from dots and scars to lymph nodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nodulenet.phantom.anatomy import Anatomy
from nodulenet.phantom.chest import Chest
from nodulenet.phantom.grid import Floats, Grid, random_axes
from nodulenet.phantom.tubes import Ellipsoid, Tubes, chain, paint_ellipsoid, paint_tubes

Kind = Literal["dot", "granuloma", "scar", "band", "plaque", "bump", "thickening", "lymph node"]
Away = Sequence[tuple[NDArray[np.float64], float]]
CLEARANCE_MM = 6.0
CANDIDATES = 4000


@dataclass(frozen=True, eq=False)
class Mimic:
    """What is not a nodule, at a site (z, y, x) in mm: an ellipsoid or a strand of `hu`."""

    kind: Kind
    site: NDArray[np.float64]
    body: Ellipsoid | Tubes
    hu: float


def place_mimics(chest: Chest, away: Away, rng: np.random.Generator) -> list[Mimic]:
    """The mimics of a scan within its slices, away from the given spheres (centre, radius)."""
    grid, anatomy, drawn = chest.grid, chest.anatomy, chest.drawn
    position = _candidates(grid, anatomy, rng)
    depth = anatomy.lung_depth(position)
    heart = _sampled(anatomy, anatomy.heart, position)
    fissure = anatomy.fissures(*position.T)
    upper = position[:, 0] > -0.1 * anatomy.height
    chosen: dict[Kind, tuple[float, NDArray[np.bool_]]] = {
        "dot": (drawn.dots, depth > 4),
        "granuloma": (drawn.granulomas, depth > 4),
        "scar": (drawn.scars, (depth > 2) & (depth < 22)),
        "band": (drawn.bands, (depth > 1) & (depth < 15) & ~upper),
        "plaque": (drawn.plaques, (np.abs(depth) < 1.2) & (heart < -12)),
        "bump": (drawn.bumps, (depth < -0.5) & (depth > -4) & (heart < -10)),
        "thickening": (drawn.thickenings, (depth > 8) & (fissure < 1.0)),
        "lymph node": (drawn.lymph_nodes, (np.abs(heart) < 6) & (depth < -2.5) & (depth > -9)),
    }
    taken, found = list(away), []
    for kind, (number, fits) in chosen.items():
        for site in _free_sites(position[fits], int(number), taken, rng):
            taken.append((site, 4.0))
            found.append(MAKERS[kind](site, anatomy, rng))
    return found


def paint_mimic(volume: Floats, grid: Grid, mimic: Mimic, lung_hu: float) -> None:
    """Paint a mimic that lies in lung tissue."""
    if isinstance(mimic.body, Tubes):
        paint_tubes(volume, grid, mimic.body, mimic.hu, lung_hu)
    else:
        paint_ellipsoid(volume, grid, mimic.body, lung_hu)


def _candidates(grid: Grid, anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random positions in and near the lungs, on the centres of slices."""
    coarse = anatomy.grid
    levels = (coarse.z > grid.z[0] + 3) & (coarse.z < grid.z[-1] - 3)
    index = np.argwhere((anatomy.lungs > -10) & levels[:, None, None])
    index = index[rng.integers(len(index), size=CANDIDATES)]
    position = coarse.position(index + rng.uniform(-0.5, 0.5, index.shape))
    # A small spot between two thick slices would hardly show.
    return grid.position(np.rint(grid.index(position)))


def _sampled(anatomy: Anatomy, field: Floats, position: NDArray) -> NDArray[np.float64]:
    index = np.rint(anatomy.grid.index(position)).astype(int)
    return field[tuple(np.clip(index, 0, np.array(field.shape) - 1).T)]


def _free_sites(
    position: NDArray, number: int, taken: Away, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    sites: list[NDArray[np.float64]] = []
    for site in rng.permutation(position):
        if len(sites) == number:
            break
        others = [*taken, *((one, 4.0) for one in sites)]
        if all(np.linalg.norm(site - c) > r + CLEARANCE_MM for c, r in others):
            sites.append(site)
    return sites


def _normal(site: NDArray, anatomy: Anatomy) -> NDArray[np.float64]:
    """Direction of steepest rise of the depth in the lung."""
    steps = 3.0 * np.eye(3)
    return anatomy.lung_depth(site + steps) - anatomy.lung_depth(site - steps) + 1e-6


def _dot(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    radii = rng.uniform(0.7, 1.3) * rng.uniform(0.85, 1.15, 3)
    return Mimic("dot", site, Ellipsoid(site, np.eye(3), radii, 45.0), 45.0)


def _granuloma(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    radii, hu = np.full(3, rng.uniform(1.15, 1.45)), float(rng.uniform(700, 1000))
    return Mimic("granuloma", site, Ellipsoid(site, np.eye(3), radii, hu), hu)


def _scar(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    """An irregular strand from the pleura inwards."""
    way = _normal(site, anatomy) / 6 + rng.normal(0, 0.5, 3)
    way /= np.linalg.norm(way)
    length = rng.uniform(8, 35)
    steps = np.linspace(-0.4, 0.6, 7)[:, None] * length * way
    points = site + steps + rng.normal(0, 0.06 * length, (7, 3))
    hu = float(rng.uniform(-250, 20))
    return Mimic("scar", site, chain(points, rng.uniform(0.25, 1.3, 7)), hu)


def _band(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    normal = rng.normal(size=3) * [1.5, 1, 0.6]
    radii = np.array([rng.uniform(0.5, 1.4), rng.uniform(7, 16), rng.uniform(10, 28)])
    hu = float(rng.uniform(-300, 0))
    return Mimic("band", site, Ellipsoid(site, random_axes(normal, rng), radii, hu), hu)


def _plaque(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    radii = np.array([rng.uniform(1.2, 3), rng.uniform(4, 10), rng.uniform(5, 14)])
    hu = float(rng.choice([40.0, 60.0, 90.0, 400.0]))
    axes = random_axes(_normal(site, anatomy), rng)
    return Mimic("plaque", site, Ellipsoid(site, axes, radii, hu), hu)


def _bump(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    """The end of a rib, cartilage or an osteophyte that presses into the lung."""
    radii = np.array([rng.uniform(2, 5.5), rng.uniform(3, 8), rng.uniform(4, 9)])
    hu = float(rng.uniform(50, 350))
    axes = random_axes(_normal(site, anatomy), rng)
    return Mimic("bump", site, Ellipsoid(site, axes, radii, hu), hu)


def _thickening(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    step = 2.0 * np.eye(3)
    normal = anatomy.oblique(*(site + step).T) - anatomy.oblique(*(site - step).T)
    radii = np.array([rng.uniform(0.6, 1.2), rng.uniform(3, 7), rng.uniform(5, 12)])
    hu = float(rng.uniform(-200, 20))
    return Mimic("thickening", site, Ellipsoid(site, random_axes(normal, rng), radii, hu), hu)


def _lymph_node(site: NDArray, anatomy: Anatomy, rng: np.random.Generator) -> Mimic:
    """In the mediastinum: what bulges from it into the lung would be a nodule to any reader."""
    radii = rng.uniform(2.5, 6) * rng.uniform(0.8, 1.3, 3)
    radii *= min(1.0, -float(anatomy.lung_depth(site[None])[0]) / radii.max())
    hu = float(rng.uniform(20, 80))
    axes = random_axes(rng.normal(size=3), rng)
    return Mimic("lymph node", site, Ellipsoid(site, axes, radii, hu), hu)


Maker = Callable[[NDArray, Anatomy, np.random.Generator], Mimic]
MAKERS: dict[Kind, Maker] = {
    "dot": _dot, "granuloma": _granuloma, "scar": _scar, "band": _band, "plaque": _plaque,
    "bump": _bump, "thickening": _thickening, "lymph node": _lymph_node,
}  # fmt: skip
