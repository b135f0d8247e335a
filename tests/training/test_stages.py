"""The stage graph and its learning rates."""

import pytest

from nodulenet.files import InputError
from nodulenet.training.stages import learning_rate, resolve_stage

PUBLISHED = {
    "ncs": {"epochs": 65, "branches": ["ncs"]},
    "dfps": {"after": "ncs", "epochs": 15, "branches": ["ncs", "dfps"]},
    "full": {"after": "dfps", "epochs": 120, "branches": ["ncs", "dfps", "sr"]},
    "ncs_only": {"after": "ncs", "epochs": 135, "branches": ["ncs"]},
}


def test_epochs_before_and_in_all_are_counted_from_the_first_ancestor() -> None:
    full = resolve_stage(PUBLISHED, "full")
    assert (full.before, full.epochs, full.total) == (80, 120, 200)
    assert full.branches == ["ncs", "dfps", "sr"]
    ncs = resolve_stage(PUBLISHED, "ncs")
    assert (ncs.before, ncs.total) == (0, 200)
    assert resolve_stage(PUBLISHED, "ncs_only").total == 200


def test_a_circle_and_an_unknown_ancestor_are_errors() -> None:
    circle = {name: {**PUBLISHED["ncs"], "after": after} for name, after in ("ab", "ba")}
    with pytest.raises(InputError, match=r"train\.stages\.b\.after: 'a'"):
        resolve_stage(circle, "a")
    with pytest.raises(InputError, match=r"train\.stages\.c\.after: 'ncs'"):
        resolve_stage({"c": {**PUBLISHED["ncs"], "after": "ncs"}}, "c")


def test_learning_rate_falls_at_half_and_at_four_fifths() -> None:
    full = resolve_stage(PUBLISHED, "full")
    rates = {80 + e: learning_rate(0.01, full, e) for e in range(120)}
    assert rates[99] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0.001)
    assert rates[159] == pytest.approx(0.001)
    assert rates[160] == pytest.approx(0.0001)
    assert rates[199] == pytest.approx(0.0001)
    assert learning_rate(0.01, resolve_stage(PUBLISHED, "ncs"), 64) == 0.01
