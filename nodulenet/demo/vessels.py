"""Branching vessels and airways: trees grown from the hilum to points of the lung."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.demo.anatomy import Anatomy
from nodulenet.demo.grid import Canvas

LEAF_RADIUS = 0.5
MURRAY = 2.6
BLOOD = 45.0
BRONCHIAL_WALL = -150.0
AIR = -990.0


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes (N, 3) as (z, y, x) mm, the parent of each (root: 0) and the radius in mm."""

    nodes: NDArray[np.float64]
    parents: NDArray[np.int64]
    radii: NDArray[np.float64]


def grow_trees(anatomy: Anatomy, leaves: int, rng: np.random.Generator) -> list[Tree]:
    """Two trees per lung (artery and vein), each reaching `leaves` random points of the lung."""
    trees = []
    for side, field in ((1, anatomy.left), (-1, anatomy.right)):
        inside = np.argwhere(field > 3)
        for shift in (-6.0, 6.0):
            chosen = inside[rng.choice(len(inside), leaves, replace=False)]
            jitter = rng.uniform(-0.5, 0.5, chosen.shape)
            hilum = np.array([rng.uniform(-8, 8), anatomy.centre_y + shift, anatomy.middle])
            hilum += [0, 0, side * 20]
            trees.append(_grow(hilum, anatomy.grid.position(chosen + jitter), rng))
    return trees


def _grow(root: NDArray, targets: NDArray, rng: np.random.Generator) -> Tree:
    """Join the targets, nearest first, to the node with the least detour, and set the radii."""
    targets = targets[np.argsort(np.linalg.norm(targets - root, axis=1))]
    nodes, parents, paths = [root], [0], [0.0]
    for target in targets:
        known = np.array(nodes)
        distance = np.linalg.norm(known - target, axis=1)
        parent = int(np.argmin(distance + 0.4 * np.array(paths)))
        pieces = max(1, round(float(distance[parent]) / 7))
        start = known[parent]
        for piece in range(1, pieces + 1):
            bend = rng.normal(0, 0.8, 3) if piece < pieces else 0
            node = start + (target - start) * piece / pieces + bend
            paths.append(paths[parent] + float(np.linalg.norm(node - nodes[parent])))
            parents.append(parent)
            nodes.append(node)
            parent = len(nodes) - 1
    return Tree(np.array(nodes), np.array(parents), _radii(np.array(parents)))


def _radii(parents: NDArray[np.int64]) -> NDArray[np.float64]:
    """Murray's law (Proc Natl Acad Sci 1926): r^k is the sum of the branches' r^k."""
    flow = np.zeros(len(parents))
    for node in range(len(parents) - 1, 0, -1):
        if flow[node] == 0:
            flow[node] = LEAF_RADIUS**MURRAY
        flow[parents[node]] += flow[node]
    return np.minimum(flow ** (1 / MURRAY), 5.0)


def paint_vessels(canvas: Canvas, anatomy: Anatomy, trees: list[Tree]) -> None:
    """Paint every tube whose ends lie in a lung."""
    for tree in trees:
        depth = anatomy.lung_depth(tree.nodes)
        for node in range(1, len(tree.nodes)):
            parent = tree.parents[node]
            if depth[node] < 1 or (depth[parent] < 1 and parent != 0):
                continue
            # The root's radius is that of the whole tree: limit the start of a first branch.
            start = min(tree.radii[parent], 1.5 * tree.radii[node])
            canvas.tube(tree.nodes[[parent, node]], (start, tree.radii[node]), BLOOD)


def paint_airways(canvas: Canvas, anatomy: Anatomy, arteries: list[Tree]) -> None:
    """Paint trachea, main bronchi and the bronchi along the larger arteries."""
    tubes = _central_airways(anatomy, arteries)
    for tree in arteries:
        depth = anatomy.lung_depth(tree.nodes)
        for node in np.flatnonzero((tree.radii > 1.15) & (depth > 4)):
            parent = tree.parents[node]
            radius = 0.8 * float(tree.radii[node])
            beside = np.array([0.3, 0.8, 0.5]) * (2.2 * radius + 1.2)
            tubes.append((tree.nodes[[parent, node]] + beside, radius))
    for ends, radius in tubes:
        canvas.tube(ends, (radius + 0.9, radius + 0.9), BRONCHIAL_WALL)
    for ends, radius in tubes:
        canvas.tube(ends, (radius, radius), AIR)


def _central_airways(anatomy: Anatomy, arteries: list[Tree]) -> list[tuple[NDArray, float]]:
    carina = np.array([14.0, anatomy.centre_y + 2, anatomy.middle])
    above = carina + np.array([80, -10, 0])
    bronchi = [(np.array([carina, tree.nodes[0] + [0, 4, 0]]), 5.0) for tree in arteries]
    return [(np.array([above, carina]), 8.0), *bronchi]
