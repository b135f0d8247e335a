"""Every parameter is drawn from its documented distribution."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from nodulenet.phantom.parameters import (
    PRESETS,
    Distribution,
    Parameters,
    always,
    distributions,
    draw_parameters,
    log_uniform,
    uniform,
    whole,
)

PAGE = Path(__file__).parents[2] / "docs/phantom.md"


@pytest.mark.parametrize("preset", PRESETS)
def test_values_lie_within_their_distributions(preset: str) -> None:
    for seed in range(50):
        drawn = draw_parameters(seed, preset)
        for name, one in distributions(preset).items():
            assert one.low <= getattr(drawn, name) <= one.high, name


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_changes_parameters_that_exist(preset: str) -> None:
    assert set(PRESETS[preset]) <= {one.name for one in fields(Parameters)}


def test_the_same_seed_gives_the_same_values() -> None:
    assert draw_parameters(7, "pretrain") == draw_parameters(7, "pretrain")
    assert draw_parameters(7, "pretrain") != draw_parameters(8, "pretrain")


def test_a_preset_leaves_the_other_values_as_they_were() -> None:
    one, other = draw_parameters(7, "pretrain"), draw_parameters(7, "demo")
    for field in fields(Parameters):
        if field.name not in PRESETS["demo"]:
            assert getattr(one, field.name) == getattr(other, field.name)


def test_an_unknown_preset_is_an_error() -> None:
    with pytest.raises(KeyError, match="none"):
        draw_parameters(0, "none")


@pytest.mark.parametrize(
    ("one", "middle"), [(uniform(1, 9), 5), (log_uniform(1, 9), 3), (whole(1, 9), 5)]
)
def test_half_of_the_values_lie_below_the_median(one: Distribution, middle: float) -> None:
    rng = np.random.default_rng(0)
    values = np.array([one.draw(rng) for _ in range(4000)])
    assert np.median(values) == pytest.approx(middle, rel=0.05)
    assert values.min() == pytest.approx(1, abs=0.05)
    assert values.max() == pytest.approx(9, abs=0.05)
    if one.kind == "whole":
        assert set(values) == set(range(1, 10))


def test_a_constant_is_drawn_as_it_is() -> None:
    assert always(3.5).draw(np.random.default_rng(0)) == 3.5
    assert str(always(3.5)) == "3.5"


def test_the_page_has_every_parameter_and_its_distributions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", PAGE.read_text(), re.M)
    usual, demo = distributions("pretrain"), PRESETS["demo"]
    assert rows == [
        (
            one.name,
            one.metadata["meaning"],
            one.metadata["unit"],
            str(usual[one.name]),
            str(demo[one.name]) if one.name in demo else "",
        )
        for one in fields(Parameters)
    ]
