"""Trees of vessels: Murray's law, and where the branches lie."""

from dataclasses import replace

import numpy as np
import pytest

from nodulenet.phantom.chest import Chest
from nodulenet.phantom.donors import donor_series
from nodulenet.phantom.parameters import draw_parameters
from nodulenet.phantom.scene import plan_free
from nodulenet.phantom.vessels import LARGEST, _join


@pytest.fixture(scope="module")
def chest() -> Chest:
    drawn = replace(draw_parameters(2, "pretrain"), nodules=1.0, pixel=0.85)
    return plan_free(drawn, donor_series(held_out=True), 2).chest


def test_radii_follow_murrays_law(chest: Chest) -> None:
    for tree in chest.trees.vessels:
        exponent, number = chest.drawn.murray, len(tree.nodes)
        assert (tree.parents[1:] < np.arange(1, number)).all()
        leaf = np.ones(number, bool)
        leaf[tree.parents[1:]] = False
        assert tree.radii[leaf] == pytest.approx(chest.drawn.leaf_radius)
        branches = np.zeros(number)
        for node in range(1, number):
            branches[tree.parents[node]] += tree.radii[node] ** exponent
        whole = np.minimum(branches ** (1 / exponent), LARGEST)
        # The flow of a branch of the largest radius is not known from its radius.
        exact = ~leaf & (whole < LARGEST)
        assert exact.sum() > 500
        assert tree.radii[exact] == pytest.approx(whole[exact])


def test_a_branch_leaves_the_node_from_which_its_way_is_short_and_straight() -> None:
    targets = np.random.default_rng(3).uniform(-60, 60, (40, 3))
    nodes, parents = _join(np.zeros(3), targets, np.zeros(40, np.int64), np.zeros((962, 3)))
    ways = nodes - nodes[parents]
    lengths = np.linalg.norm(ways, axis=1)
    units = np.divide(ways, lengths[:, None], out=np.zeros_like(ways), where=lengths[:, None] > 0)
    paths = np.zeros(len(nodes))
    for node in range(1, len(nodes)):
        paths[node] = paths[parents[node]] + lengths[node]
    first = 1
    for target in targets:
        away = target - nodes[:first]
        distance = np.linalg.norm(away, axis=1)
        turn = 1 - (units[:first] * away).sum(axis=1) / distance
        cost = distance * (1 + 0.45 * turn**2) + 0.25 * paths[:first]
        assert cost[parents[first]] == pytest.approx(cost.min(), abs=1e-3)
        first += 1 + int(np.flatnonzero(np.isclose(nodes[first:], target).all(axis=1))[0])
    assert first == len(nodes)


def test_branches_lie_in_the_lung_and_in_the_lobe_of_their_parents(chest: Chest) -> None:
    anatomy = chest.anatomy
    for tree in chest.trees.vessels:
        depth = anatomy.lung_depth(tree.nodes)
        assert (depth > 0).mean() > 0.9
        parents = tree.parents[1:]
        beyond = np.minimum(depth[1:], depth[parents]) > 10
        lobes = anatomy.lobes(tree.nodes)
        same = lobes[1:] == lobes[parents]
        assert same[beyond].mean() > 0.9
        assert len(np.unique(lobes[depth > 3])) >= 2


def test_bronchi_are_hollow_and_beside_arteries(chest: Chest) -> None:
    trees = chest.trees
    assert (trees.walls > 0).all()
    arteries = np.concatenate([tree.nodes for tree in trees.arteries])
    thin = trees.bronchi.radii[:, 1] < 2
    ends = trees.bronchi.ends[thin]
    assert len(ends) > 20
    distance = np.linalg.norm(ends[:, None] - arteries[None], axis=2).min(axis=1)
    assert distance.max() < 8
    assert np.median(distance) > 1.5  # another artery may come nearer
