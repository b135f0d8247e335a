"""Branching vessels and bronchi: trees grown from the hilum to points of every lobe.

Targets come coarse to fine, one per cell of cubes of falling side, so that segmental branches
stand before the small ones fork from them. A target joins the node of its lobe with the least
detour, weighted by the angle at the fork, after constrained constructive optimisation (Schreiner
and Buxbaum, IEEE Trans Biomed Eng 1993), without its search over all forks.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nodulenet.phantom.anatomy import HILUM, Anatomy
from nodulenet.phantom.parameters import Parameters
from nodulenet.phantom.tubes import Tubes, chain, join_tubes

CELLS = (60.0, 36.0, 24.0, 16.0)
PIECE = 6.0
LARGEST = 7.5
BRONCHIAL = 1.25
"""Radius (mm) of the smallest artery with a bronchus that is drawn."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes (N, 3) as (z, y, x) mm, the parent of each (root: 0) and the radius in mm."""

    nodes: NDArray[np.float64]
    parents: NDArray[np.int64]
    radii: NDArray[np.float64]

    @property
    def tubes(self) -> Tubes:
        """A tube from every node's parent to the node."""
        parents = self.parents[1:]
        # A parent's radius is that of all its branches: limit the start of each.
        starts = np.minimum(self.radii[parents], 1.35 * self.radii[1:])
        return Tubes(self.nodes[parents], self.nodes[1:], np.column_stack([starts, self.radii[1:]]))


@dataclass(frozen=True)
class Trees:
    """Arteries and veins, one of each per lung (left, right), and bronchi: lumen and wall (mm)."""

    arteries: tuple[Tree, Tree]
    veins: tuple[Tree, Tree]
    bronchi: Tubes
    walls: NDArray[np.float64]

    @property
    def vessels(self) -> tuple[Tree, ...]:
        """All trees of vessels."""
        return self.arteries + self.veins


def grow_trees(anatomy: Anatomy, drawn: Parameters, rng: np.random.Generator) -> Trees:
    """The trees of both lungs."""
    arteries: list[Tree] = []
    veins: list[Tree] = []
    for side in (1, -1):
        hilum = np.array([0.04 * anatomy.height, anatomy.centre_y + 6, anatomy.middle])
        across = np.array([0, 0, side * (HILUM + 14.0)])
        for trees, shift in ((arteries, [6.0, -4, 0]), (veins, [-16.0, -6, -2 * side])):
            root = hilum + across + shift + rng.uniform(-3, 3, 3)
            targets = _targets(anatomy, side, drawn.vessel_step, rng)
            trees.append(_grow(root, targets, anatomy, drawn, rng))
    bronchi, walls = _bronchi(anatomy, arteries, drawn)
    return Trees((arteries[0], arteries[1]), (veins[0], veins[1]), bronchi, walls)


def _targets(
    anatomy: Anatomy, side: int, step: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Points (N, 3) of one lung to be reached, coarse ones first."""
    low = np.array([anatomy.grid.z[0], anatomy.grid.y[0], anatomy.grid.x[0]])
    extent = -2 * low
    levels = []
    for cell in (*CELLS, step):
        shape = [int(np.ceil(length / cell)) for length in extent]
        cells = np.argwhere(np.ones(shape, bool))
        points = low + (cells + rng.uniform(0, 1, cells.shape)) * cell
        points = points[side * (points[:, 2] - anatomy.middle) > 0]
        margin = 3.0 if cell == step else 7.0
        inside = (anatomy.lung_depth(points) > margin) & (anatomy.fissures(*points.T) > 2.5)
        levels.append(rng.permutation(points[inside]))
    return np.concatenate(levels)


def _grow(
    root: NDArray, targets: NDArray, anatomy: Anatomy, drawn: Parameters, rng: np.random.Generator
) -> Tree:
    """Join the targets, set the radii and smooth the branches."""
    bends = rng.normal(0, drawn.bend, (len(targets) * 24 + 2, 3))
    nodes, parents = _join(root, targets, anatomy.lobes(targets), bends)
    radii = _radii(parents, drawn.leaf_radius, drawn.murray)
    for _ in range(2):
        nodes = _smooth(nodes, parents, radii)
    return Tree(nodes, parents, radii)


@njit(cache=True, nogil=True)
def _join(root, targets, lobes, bends):  # type: ignore[no-untyped-def]
    nodes = np.empty_like(bends)
    ways = np.zeros_like(bends)
    parents = np.zeros(len(bends), np.int64)
    lobe = np.full(len(bends), -1)
    paths = np.zeros(len(bends))
    nodes[0, 0], nodes[0, 1], nodes[0, 2] = root
    count = 1
    for number in range(len(targets)):
        target = targets[number]
        best, parent = np.inf, 0
        for n in range(count):
            if lobe[n] != -1 and lobe[n] != lobes[number]:
                continue
            z, y, x = target[0] - nodes[n, 0], target[1] - nodes[n, 1], target[2] - nodes[n, 2]
            distance = np.sqrt(z * z + y * y + x * x) + 1e-6
            turn = 1 - (ways[n, 0] * z + ways[n, 1] * y + ways[n, 2] * x) / distance
            cost = distance * (1 + 0.45 * turn * turn) + 0.25 * paths[n]
            if cost < best:
                best, parent = cost, n
        start = nodes[parent].copy()
        length = np.sqrt(((target - start) ** 2).sum())
        pieces = min(max(1, int(length / PIECE + 0.5)), 20)
        for piece in range(1, pieces + 1):
            for axis in range(3):
                nodes[count, axis] = start[axis] + (target[axis] - start[axis]) * piece / pieces
                if piece < pieces:
                    nodes[count, axis] += bends[count, axis]
                ways[count, axis] = nodes[count, axis] - nodes[parent, axis]
            distance = np.sqrt((ways[count] ** 2).sum()) + 1e-6
            for axis in range(3):
                ways[count, axis] /= distance
            paths[count] = paths[parent] + distance
            parents[count], lobe[count] = parent, lobes[number]
            parent = count
            count += 1
    return nodes[:count], parents[:count]


@njit(cache=True, nogil=True)
def _radii(parents, leaf, exponent):  # type: ignore[no-untyped-def]
    """Murray's law (Proc Natl Acad Sci 1926): r^k is the sum of the branches' r^k."""
    flow = np.zeros(len(parents))
    for node in range(len(parents) - 1, 0, -1):
        if flow[node] == 0:
            flow[node] = leaf**exponent
        flow[parents[node]] += flow[node]
    return np.minimum(flow ** (1 / exponent), LARGEST)


@njit(cache=True, nogil=True)
def _smooth(nodes, parents, radii):  # type: ignore[no-untyped-def]
    """Every fork between its parent and its branches, which count by their cross-section."""
    total, weight = np.zeros_like(nodes), np.zeros(len(nodes))
    for node in range(1, len(nodes)):
        area = radii[node] ** 2
        weight[parents[node]] += area
        for axis in range(3):
            total[parents[node], axis] += area * nodes[node, axis]
    moved = nodes.copy()
    for node in range(1, len(nodes)):
        if weight[node] > 0:
            for axis in range(3):
                ahead = total[node, axis] / weight[node]
                near = nodes[parents[node], axis] + ahead
                moved[node, axis] = 0.5 * nodes[node, axis] + 0.25 * near
    return moved


def _bronchi(
    anatomy: Anatomy, arteries: list[Tree], drawn: Parameters
) -> tuple[Tubes, NDArray[np.float64]]:
    """Trachea, main bronchi, a bronchus beside every larger artery: lumen, thickness of walls."""
    carina = np.array([0.13 * anatomy.height, anatomy.centre_y + 8, anatomy.middle])
    top = carina + np.array([0.45 * anatomy.height, -6, 0])
    parts = [chain(np.array([top, carina]), np.full(2, 8.5))]
    for tree in arteries:
        beside = _beside(tree, drawn.bronchus)
        lumen = drawn.bronchus * tree.radii
        large = np.flatnonzero(tree.radii[1:] > BRONCHIAL) + 1
        parents = tree.parents[large]
        ends = np.column_stack([np.minimum(lumen[parents], 1.2 * lumen[large]), lumen[large]])
        parts.append(Tubes(beside[parents], beside[large], ends))
        parts.append(chain(np.array([carina, beside[0]]), np.array([6.5, 5.5])))
    bronchi = join_tubes(parts)
    return bronchi, drawn.wall * (0.3 + 0.12 * bronchi.radii)


def _beside(tree: Tree, share: float) -> NDArray[np.float64]:
    """Positions of the bronchus beside every node of an artery, on a side that changes slowly."""
    way = tree.nodes - tree.nodes[tree.parents]
    way[0] = [0, 0, 1]
    across = np.cross(way, [0.35, 0.75, 0.55])
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
    distance = tree.radii * (1 + share) + 0.5 + 0.13 * tree.radii
    return tree.nodes + across * distance[:, None]
