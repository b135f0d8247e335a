"""Where nodules lie and what is near them, and how they are turned."""

from dataclasses import replace

import numpy as np
import pytest

from nodulenet.phantom.donors import donor_series
from nodulenet.phantom.mimics import place_mimics
from nodulenet.phantom.nodules import random_turn
from nodulenet.phantom.parameters import draw_parameters
from nodulenet.phantom.placement import APART_MM
from nodulenet.phantom.scene import Scene, plan_free


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


def test_what_bulges_into_the_lung_is_no_ball_within_it(scene: Scene) -> None:
    """A soft ball within the lung would be a nodule that no reader marked."""
    depths = []
    for seed in range(6):
        mimics = place_mimics(scene.chest, [], np.random.default_rng(seed))
        outside = [one.site for one in mimics if one.kind in ("lymph node", "bump")]
        depths += list(scene.chest.anatomy.lung_depth(np.array(outside)))
    assert len(depths) > 10
    assert max(depths) < 0


def test_turns_are_uniform_and_half_of_them_mirror() -> None:
    rng = np.random.default_rng(0)
    turns = np.array([random_turn(rng) for _ in range(4000)])
    assert turns @ turns.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (4000, 1, 1)))
    assert np.abs(turns.mean(axis=0)).max() < 0.05  # Each entry has mean 0 and variance 1/3.
    assert (turns**2).mean(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.03)
    assert (np.linalg.det(turns) < 0).mean() == pytest.approx(0.5, abs=0.04)
