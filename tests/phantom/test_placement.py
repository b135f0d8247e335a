"""Where nodules lie and what is near them, and how they are turned."""

from dataclasses import replace

import numpy as np
import pytest

from nodulenet.phantom.donors import donor_series
from nodulenet.phantom.mimics import place_mimics
from nodulenet.phantom.nodules import random_turn
from nodulenet.phantom.parameters import draw_parameters
from nodulenet.phantom.placement import APART_MM, place_nodules
from nodulenet.phantom.scene import Scene, plan_free
from nodulenet.phantom.tubes import Ellipsoid


@pytest.fixture(scope="module")
def scene() -> Scene:
    drawn = replace(draw_parameters(5, "pretrain"), nodules=12.0, pixel=0.85, level=0.5)
    return plan_free(drawn, donor_series(held_out=True), 5)


def test_nodules_lie_in_the_lungs_within_the_slices_and_apart(scene: Scene) -> None:
    assert len(scene.nodules) > 8
    for number, one in enumerate(scene.nodules):
        assert scene.chest.anatomy.lung_depth(one.centre[None])[0] > 0.2 * one.radius
        assert scene.grid.z[0] < one.centre[0] < scene.grid.z[-1]
        for other in scene.nodules[:number]:
            distance = np.linalg.norm(one.centre - other.centre)
            assert distance > one.radius + other.radius + APART_MM


def test_nodules_without_room_are_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    chest = replace(scene.chest, drawn=replace(scene.chest.drawn, nodules=300.0))
    placed = place_nodules(chest, donor_series(held_out=True), np.random.default_rng(0))
    assert 8 < len(placed) < 300
    assert f"{300 - len(placed)} of 300 nodules left out" in caplog.text


def test_bumps_and_lymph_nodes_lie_outside_the_lung(scene: Scene) -> None:
    """A soft ball in the lung would be a nodule that no reader marked."""
    depth, centres, surfaces = scene.chest.anatomy.lung_depth, [], []
    way = np.random.default_rng(0).normal(size=(200, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    for seed in range(6):
        for mimic in place_mimics(scene.chest, [], np.random.default_rng(seed)):
            if mimic.kind in ("lymph node", "bump"):
                centres.append(depth(mimic.site[None])[0])
            if mimic.kind == "lymph node":
                assert isinstance(mimic.body, Ellipsoid)
                outline = mimic.site + way * mimic.body.radii @ mimic.body.axes
                surfaces.append(depth(outline).max())
    assert len(surfaces) > 10
    assert max(centres) < 0
    assert max(surfaces) < 0.5


def test_turns_are_uniform_and_half_of_them_mirror() -> None:
    rng = np.random.default_rng(0)
    turns = np.array([random_turn(rng) for _ in range(4000)])
    assert turns @ turns.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (4000, 1, 1)))
    assert np.abs(turns.mean(axis=0)).max() < 0.05  # Each entry has mean 0 and variance 1/3.
    assert (turns**2).mean(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.03)
    assert (np.linalg.det(turns) < 0).mean() == pytest.approx(0.5, abs=0.04)
