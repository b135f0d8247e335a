"""Which parameters are new in a stage, and how their rate rises."""

import copy
from pathlib import Path
from typing import Any

import pytest
import small_training
import torch

from nodulenet.model import NoduleNet
from nodulenet.training import train_stage
from nodulenet.training.optimiser import parameter_groups, set_rate, warm_up

ALL = ["ncs", "dfps", "sr"]


@pytest.fixture(scope="module")
def net() -> NoduleNet:
    return NoduleNet(width=0.1)


def fresh(net: NoduleNet, branches: list[Any], known: list[str] | None, warmup: int) -> set[str]:
    """The first parts of the names of the parameters that are new; every one is in one group."""
    names = {p: name for name, p in net.named_parameters()}
    groups = parameter_groups(net, branches, known, warmup)
    assert sorted(names[p] for g in groups for p in g["params"]) == sorted(names.values())
    return {names[p].split(".")[0] for g in groups if g["new"] for p in g["params"]}


@pytest.mark.parametrize(
    ("branches", "known", "expected"),
    [
        (["ncs"], None, {"backbone", "ncs", "dfps", "sr"}),  # of which dfps and sr learn nothing
        (["ncs", "dfps"], ["ncs"], {"dfps"}),
        (ALL, ["ncs"], {"dfps", "sr"}),
        (ALL, ["ncs", "dfps"], {"sr"}),
        (ALL, ALL, set()),  # weights that exist, of the whole network
        (["ncs"], ["ncs"], set()),
    ],
)
def test_the_heads_of_new_branches_are_new(
    net: NoduleNet, branches: list[Any], known: list[str] | None, expected: set[str]
) -> None:
    assert fresh(net, branches, known, 5) == expected
    assert fresh(net, branches, known, 0) == set()


def test_without_a_warm_up_all_are_one_group_in_their_order(net: NoduleNet) -> None:
    (group,) = parameter_groups(net, ALL, ["ncs"], 0)
    for ours, theirs in zip(group["params"], net.parameters(), strict=True):
        assert ours is theirs


def rates(warmup: int, done: int, steps: int) -> list[tuple[float, float]]:
    """Rates of what is old and of what is new at every step; the rate falls after four."""
    old, new = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [old], "new": False}, {"params": [new], "new": True}]
    optimiser = torch.optim.SGD(groups, 0.5)
    warm_up(optimiser, warmup, done)
    seen = []
    for step in range(steps):
        set_rate(optimiser, 0.8 if step < 4 else 0.08)
        for p in (old, new):
            p.grad = torch.ones(1)
        before = [p.item() for p in (old, new)]
        optimiser.step()
        seen.append(tuple(b - p.item() for b, p in zip(before, (old, new), strict=True)))
    return seen


def test_the_rate_of_what_is_new_rises_step_by_step() -> None:
    old, new = zip(*rates(4, 0, 6), strict=True)
    assert old == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.08, 0.08])
    assert new == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.08, 0.08])


def test_it_goes_on_from_the_steps_made_before_and_across_a_fall_of_the_rate() -> None:
    assert [new for _, new in rates(8, 2, 6)] == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.07, 0.08])


def test_without_a_warm_up_both_have_the_same_rate() -> None:
    assert rates(0, 0, 2) == [(pytest.approx(0.8), pytest.approx(0.8))] * 2


def test_a_warm_up_changes_what_is_learnt(tmp_path: Path) -> None:
    cohort = small_training.write_cohort(tmp_path)
    settings = copy.deepcopy(small_training.SETTINGS)
    train_stage(small_training.job(cohort, "ncs", tmp_path / "without", settings), threads=1)
    settings["train"]["warmup"] = 4
    train_stage(small_training.job(cohort, "ncs", tmp_path / "with", settings), threads=1)
    first, second = (small_training.tensors(tmp_path / name) for name in ("without", "with"))
    assert not torch.equal(first["ncs.logits.weight"], second["ncs.logits.weight"])
