"""Draws by keys: reproduced in plain Python, uniform, and independent of everything else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_draws import plain_draw, plain_key
from scipy.stats import chisquare

from nodulenet.model.draws import draw, draw_keys

seeds = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3)


@given(seeds, st.integers(0, 9))
def test_keys_are_those_of_unsigned_arithmetic(own: list[int], purpose: int) -> None:
    keys = draw_keys(torch.tensor(own), purpose, 4)
    assert keys.tolist() == [[plain_key(seed, purpose, k) for k in range(4)] for seed in own]


@given(seeds, st.integers(1, 12), st.lists(st.booleans(), min_size=1, max_size=12))
def test_the_smallest_keys_of_the_likely_ones_are_drawn(
    own: list[int], number: int, likely: list[bool]
) -> None:
    rows = torch.tensor([likely] * len(own))
    found, drawn = draw(rows, number, torch.tensor(own), 3)
    for seed, places, valid in zip(own, found, drawn, strict=True):
        expected = plain_draw([k for k, is_it in enumerate(likely) if is_it], number, seed, 3)
        assert places[valid].tolist() == expected


def test_a_crop_draws_the_same_beside_any_others() -> None:
    own = torch.arange(100, 108)
    likely = torch.rand(8, 500, generator=torch.manual_seed(0)) > 0.5
    together = draw(likely, 20, own, 1)[0]
    for k in range(8):
        assert torch.equal(draw(likely[k : k + 1], 20, own[k : k + 1], 1)[0][0], together[k])


@pytest.mark.parametrize("number", [1, 7])
def test_every_element_is_drawn_as_often_as_any_other(number: int) -> None:
    crops, size = 20_000, 40
    likely = torch.ones(crops, size, dtype=torch.bool)
    found, _ = draw(likely, number, torch.arange(crops), 2)
    counts = np.bincount(found.flatten().numpy(), minlength=size)
    # Without replacement the counts vary less than those of independent draws.
    spread = number * (1 - (number - 1) / (size - 1)) / number
    assert chisquare(counts).statistic / spread < 80  # 1 in 10,000 of 39 degrees of freedom


def test_purposes_and_neighbouring_seeds_are_unrelated() -> None:
    pairs = [(seed, purpose) for seed in (0, 1) for purpose in (1, 2)]
    keys = [draw_keys(torch.tensor([seed]), purpose, 4000)[0] for seed, purpose in pairs]
    signs = np.array([(key > 0).numpy() for key in keys], float)
    assert np.abs(np.corrcoef(signs) - np.eye(4)).max() < 0.07  # four standard deviations
