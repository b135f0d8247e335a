"""A uniform chest as a scanner shows it: mean, noise and what slices share."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.phantom.acquisition import acquire
from nodulenet.phantom.chest import Chest
from nodulenet.phantom.donors import donor_series
from nodulenet.phantom.parameters import Parameters, draw_parameters
from nodulenet.phantom.scene import finer, plan_free


@pytest.fixture(scope="module")
def chest() -> Chest:
    drawn = replace(
        draw_parameters(2, "pretrain"), nodules=1.0, pixel=0.85, thickness=4.0, extent=40.0
    )
    return plan_free(drawn, donor_series(held_out=True), 2).chest


def scanned(chest: Chest, drawn: Parameters) -> np.ndarray:
    """A uniform volume of -800 HU."""
    fine = finer(chest.grid, 4.0)
    volume = np.full(fine.shape, -800, np.float32)
    rng = np.random.default_rng(0)
    return acquire(volume, fine, replace(chest, drawn=drawn), rng).astype(float)


@given(noise=st.floats(7, 55), offset=st.floats(-12, 12), streaks=st.floats(-5, 10))
def test_mean_and_noise_are_those_of_the_parameters(
    chest: Chest, noise: float, offset: float, streaks: float
) -> None:
    drawn = replace(chest.drawn, noise=noise, offset=offset, streaks=streaks, overlap=1.0)
    scan = scanned(chest, drawn)
    assert scan.mean() == pytest.approx(-800 + offset, abs=1)
    assert scan.std() == pytest.approx(np.hypot(noise, max(streaks, 0)), rel=0.05)


def test_overlapping_slices_share_noise(chest: Chest) -> None:
    for overlap, shared in ((1.0, 0.0), (0.7, 0.3)):
        drawn = replace(chest.drawn, noise=30.0, streaks=-1.0, overlap=overlap)
        one, two = scanned(chest, drawn)[:2].reshape(2, -1)
        assert np.corrcoef(one, two)[0, 1] == pytest.approx(shared, abs=0.03)


def test_a_larger_grain_is_coarser(chest: Chest) -> None:
    alike = []
    for size in (0.35, 0.95):
        drawn = replace(chest.drawn, noise=30.0, streaks=-1.0, noise_size=size, sharpness=-1.0)
        image = scanned(chest, drawn)[0] + 800
        alike.append(np.mean(image[:, 1:] * image[:, :-1]) / image.var())
    assert alike[1] > alike[0] + 0.1
