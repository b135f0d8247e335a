"""The stage graph and its learning rates."""

import pytest

from nodulenet.settings import Recipe, StageSettings, TrainSettings
from nodulenet.training.stages import learning_rate, resolve_stage

PUBLISHED = TrainSettings()


def test_epochs_before_and_in_all_are_counted_from_the_first_ancestor() -> None:
    full = resolve_stage(PUBLISHED, "full")
    assert (full.before, full.epochs, full.total) == (80, 120, 200)
    assert full.branches == ("ncs", "dfps", "sr")
    ncs = resolve_stage(PUBLISHED, "ncs")
    assert (ncs.before, ncs.total) == (0, 200)
    assert resolve_stage(PUBLISHED, "ncs_only").total == 200


def test_learning_rate_falls_at_half_and_at_four_fifths() -> None:
    full = resolve_stage(PUBLISHED, "full")
    rates = {80 + e: learning_rate(0.01, full, e) for e in range(120)}
    assert rates[99] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0.001)
    assert rates[159] == pytest.approx(0.001)
    assert rates[160] == pytest.approx(0.0001)
    assert rates[199] == pytest.approx(0.0001)
    assert learning_rate(0.01, resolve_stage(PUBLISHED, "ncs"), 64) == 0.01


def test_a_training_depends_on_no_later_stage_but_for_its_epochs() -> None:
    other = TrainSettings(
        stages={
            **PUBLISHED.stages,
            "later": StageSettings(after="dfps", epochs=9, branches=("ncs",)),
        },
        gpus=3,
        device="cuda",
    )
    for stage in ("ncs", "dfps", "full"):
        own, theirs = (Recipe(train=t).deciding(stage) for t in (PUBLISHED, other))
        assert own == theirs
        assert own.deciding(stage) == own
        assert resolve_stage(own.train, stage) == resolve_stage(PUBLISHED, stage)
    longer = TrainSettings(
        stages={**PUBLISHED.stages, "full": other.stages["full"].model_copy(update={"epochs": 130})}
    )
    assert Recipe(train=longer).deciding("ncs") != Recipe().deciding("ncs")


def test_what_scores_the_patients_held_out_counts_where_there_are_any() -> None:
    plain = {"folds": {"number": 3}, "inference": {"halo": 32}, "froc": {"bootstrap": 5}}
    plain["train"] = {"validate_every": 3}
    assert Recipe.model_validate(plain).deciding("ncs") == Recipe().deciding("ncs")
    plain["folds"]["validation"] = 0.2
    held = Recipe.model_validate(plain).deciding("ncs")
    assert held.train.validate_every == 3
    assert (held.folds.validation, held.folds.number) == (0.2, 6)
    assert (held.inference.halo, held.froc.bootstrap) == (32, 1000)
