"""Where nodules lie: free in the lung, or attached to a vessel, the pleura or a fissure."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nodulenet.phantom.chest import Chest
from nodulenet.phantom.donors import draw_shapes
from nodulenet.phantom.grid import Floats, Grid
from nodulenet.phantom.nodules import Nodule, make_nodule

log = logging.getLogger(__name__)

Site = Literal["free", "vessel", "pleura", "fissure"]
SITES: dict[Site, float] = {"free": 0.435, "vessel": 0.25, "pleura": 0.25, "fissure": 0.065}
"""Share of nodules by what they are attached to. That of fissures is of the new nodules of the
NELSON trial (97 of 1,484; Han et al., J Thorac Oncol 2018); the others are our choice."""
RADII_MM = (2.6, 14.0)
"""Radii of the nodules, drawn uniformly in the logarithm."""
CANDIDATES = 3000
APART_MM = 7.0
LARGE_VESSEL = 0.9


@dataclass(frozen=True, eq=False)
class _Sites:
    """Positions (N, 3) in the lungs, and their distances in mm: from the surface of the lung, the
    nearest fissure, and the wall of the nearest vessel of some size.
    """

    position: NDArray[np.float64]
    depth: NDArray[np.float64]
    fissure: Floats
    vessel: NDArray[np.float64]


def place_nodules(chest: Chest, series: Sequence[str], rng: np.random.Generator) -> list[Nodule]:
    """As many nodules of the donors' series as were drawn, within the slices, largest first.

    One for which no site is left is dropped; the log says how many were.
    """
    low, high = np.log(RADII_MM)
    radii = np.exp(rng.uniform(low, high, int(chest.drawn.nodules)))
    sites = _candidates(chest, rng)
    chosen = draw_shapes(series, [float(radius) for radius in np.sort(radii)[::-1]], rng)
    nodules: list[Nodule] = []
    for shape, scale in chosen:
        kind: Site = rng.choice(np.array(list(SITES)), p=list(SITES.values()))
        nodule = make_nodule(shape, scale, rng)
        for wanted in (kind, "free"):
            fits = _fits(sites, wanted, nodule.radius) & _apart(sites, nodule, nodules, chest.grid)
            if fits.any():
                centre = sites.position[rng.choice(np.flatnonzero(fits))]
                nodules.append(_at(nodule, centre))
                break
    if dropped := len(chosen) - len(nodules):
        log.warning("%d of %d nodules left out: no room for them", dropped, len(chosen))
    return nodules


def _at(nodule: Nodule, centre: NDArray) -> Nodule:
    """A nodule that was made about the origin, moved with its spicules."""
    spicules = replace(
        nodule.spicules, starts=nodule.spicules.starts + centre, ends=nodule.spicules.ends + centre
    )
    return replace(nodule, centre=centre, spicules=spicules)


def _candidates(chest: Chest, rng: np.random.Generator) -> _Sites:
    """Random positions in the lungs within the slices."""
    grid, anatomy, trees = chest.grid, chest.anatomy, chest.trees.vessels
    lungs = np.argwhere((anatomy.lungs > -1).any(axis=0))
    low, high = anatomy.grid.y[lungs.min(axis=0)[0]], anatomy.grid.y[lungs.max(axis=0)[0]]
    left, right = anatomy.grid.x[lungs.min(axis=0)[1]], anatomy.grid.x[lungs.max(axis=0)[1]]
    position = rng.uniform((grid.z[0], low, left), (grid.z[-1], high, right), (4 * CANDIDATES, 3))
    depth = anatomy.lung_depth(position)
    keep = np.flatnonzero(depth > 0)[:CANDIDATES]
    position, depth = position[keep], depth[keep]
    nodes = np.concatenate([tree.nodes[tree.radii > LARGE_VESSEL] for tree in trees])
    radii = np.concatenate([tree.radii[tree.radii > LARGE_VESSEL] for tree in trees])
    distance, nearest = cKDTree(nodes).query(position)
    return _Sites(position, depth, anatomy.fissures(*position.T), distance - radii[nearest])


def _fits(sites: _Sites, kind: Site, radius: float) -> NDArray[np.bool_]:
    """The sites where a nodule of this radius (mm) is attached as wanted."""
    if kind == "pleura":
        return (sites.depth > 0.3 * radius) & (sites.depth < 0.85 * radius)
    inside = sites.depth > 0.9 * radius + 1
    if kind == "vessel":
        return inside & (sites.vessel > -0.2 * radius) & (sites.vessel < 0.9 * radius)
    if kind == "fissure":
        return inside & (sites.fissure < 0.5 * radius)
    # Nothing but small vessels touches it; a large nodule has always some at its surface.
    return inside & (sites.vessel > min(radius + 1, 5)) & (sites.fissure > min(radius, 6))


def _apart(
    sites: _Sites, nodule: Nodule, others: Sequence[Nodule], grid: Grid
) -> NDArray[np.bool_]:
    """The sites that are within the slices and away from other nodules."""
    room = min(nodule.reach, 1.3 * nodule.radius) + 1
    z = sites.position[:, 0]
    fits = (z > grid.z[0] + room) & (z < grid.z[-1] - room)
    for other in others:
        distance = np.linalg.norm(sites.position - other.centre, axis=1)
        fits &= distance > nodule.radius + other.radius + APART_MM
    return fits
