"""The settings: published values, merged config files, and one line for what is wrong in them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nodulenet.files import InputError
from nodulenet.settings import (
    FoldsSettings,
    Recipe,
    Settings,
    TrainSettings,
    check_settings,
    read_config,
    read_settings,
)

LEAST = {"cohort": "a", "scans": "a.tsv"}


def test_plain_numbers_and_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('a: {b: [1, -2, 0, 1.5, 1.0e-3], c: "1_0"}\nd: 1e-3x\ne: true\n1.5: x\n')
    content = {"a": {"b": [1, -2, 0, 1.5, 0.001], "c": "1_0"}, "d": "1e-3x", "e": True, 1.5: "x"}
    assert read_config([path]) == content


@pytest.mark.parametrize(
    "slip", ["1_0", "1_0.5", "0x10", "010", "0b11", "1:30", ".inf", "-.inf", ".nan"]
)
@pytest.mark.parametrize("text", ["a: 1\nb:\n  c: {}\n", "a: 1\nb:\n - [1, {}]\n"])
def test_other_numbers_are_named(tmp_path: Path, text: str, slip: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text.format(slip))
    with pytest.raises(InputError) as error:
        read_config([path])
    assert str(error.value) == f"{path}: line 3: {slip} is not a plain number"


def test_the_defaults_are_the_published_values() -> None:
    settings = Settings(**LEAST)
    train, stages = settings.train, settings.train.stages
    assert (train.batch, train.crop, train.lr, train.momentum) == (16, 128, 0.01, 0.9)
    assert (train.weight_decay, settings.folds.number, settings.model.width) == (1e-4, 6, 1)
    assert (settings.ncs.negatives, settings.ncs.positive_iou, settings.ncs.negative_iou) == (
        800,
        0.5,
        0.1,
    )
    assert [sum(stages[s].epochs for s in (n, *train.ancestors(n))) for n in train.evaluate] == [
        200
    ] * 3
    assert stages["full"].branches == ("ncs", "dfps", "sr")


def test_files_are_laid_over_each_other_and_over_the_published_values(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower.yaml", tmp_path / "upper.yaml"
    lower.write_text("cohort: a\nscans: a.tsv\nncs: {negatives: 5, proposals: 6}\n")
    upper.write_text(
        "ncs: {proposals: 7}\ntrain: {stages: {full: {epochs: 3}, own: "
        "{after: ncs, epochs: 1, branches: [ncs]}}, evaluate: [own]}\n"
    )
    settings = read_settings([lower, upper])
    assert (settings.ncs.negatives, settings.ncs.proposals, settings.ncs.nms_iou) == (5, 7, 0.1)
    assert settings.train.stages["full"].plain() == {
        "after": "dfps", "epochs": 3, "branches": ["ncs", "dfps", "sr"]
    }  # fmt: skip
    assert settings.train.ancestors("own") == ["ncs"]
    assert list(settings.train.stages) == ["ncs", "dfps", "full", "own"]  # what these need alone


def test_published_stages_that_nothing_needs_are_left_out() -> None:
    own = {"stages": {"ncs": {"epochs": 3}}, "evaluate": ["ncs"]}
    assert list(TrainSettings.model_validate(own).stages) == ["ncs"]
    assert list(TrainSettings.model_validate({"evaluate": ["ncs_only"]}).stages) == [
        "ncs",
        "ncs_only",
    ]
    assert len(TrainSettings().stages) == 5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ncs": {"negativs": 3}}, "ncs.negativs: there is no such key, did you mean negatives?"),
        ({"nsc": {}}, "nsc: there is no such key, did you mean ncs?"),
        (
            {"train": {"stages": {"x": {"epoch": 2, "branches": ["ncs"]}}}},
            "train.stages.x.epoch: there is no such key, did you mean epochs?",
        ),
        ({False: 5}, "False: there is no such key"),
        ({"ncs": {"negatives": 3.5}}, "ncs.negatives: 3.5 should be a valid integer"),
        ({"ncs": {"negatives": True}}, "ncs.negatives: True should be a valid integer"),
        ({"ncs": {"weight": "1e-4"}}, "ncs.weight: '1e-4' should be a valid number"),
        ({"augment": {"scale": ["1", 2]}}, "augment.scale.0: '1' should be a valid number"),
        ({"ncs": None}, "ncs: None should be a section of keys"),
        ({"train": {"evaluate": "full"}}, "train.evaluate: 'full' should be a list"),
        ({"train": {"lr": 0}}, "train.lr: 0 should be greater than 0"),
        ({"train": {"evaluate": ["fll"]}}, "train.evaluate: there is no stage 'fll'"),
        (
            {"train": {"evaluate": ["full", "full"]}},
            "train.evaluate: names a stage more than once",
        ),
        (
            {"train": {"stages": {"ncs": {"after": "full"}}}},
            "train.stages.dfps.after: 'ncs' comes after 'dfps' already",
        ),
        (
            {"train": {"stages": {"x": {"epochs": 2, "branches": ["sr"]}}}},
            "train.stages.x.branches: should be [ncs], [ncs, dfps] or [ncs, dfps, sr]",
        ),
        ({"train": {"stages": {"x": {"epochs": 2}}}}, "train.stages.x.branches: is missing"),
        ({"preprocess": {"hu_window": [3, 2]}}, "preprocess.hu_window: 3 is not below 2"),
        ({"inference": {"tile": 128}}, "inference.tile: 128 is not above twice halo, 64"),
        ({"froc": {"protocol": "x"}}, "froc.protocol: 'x' should be 'nodulenet' or 'luna16'"),
        (
            {"weights": {"full": {"f0": "a.pt"}}},
            "weights.full.f0: 'f0' should match pattern '^fold(0|[1-9][0-9]*)$'",
        ),
        (
            {"weights": {"ful": {"fold0": "a.pt"}}},
            "weights.ful: there is no stage 'ful'",
        ),
        (
            {"weights": {"full": {"fold6": "a.pt"}}},
            "weights.full.fold6: there is no such fold, folds.number is 6",
        ),
        (
            {"weights": {"full": {"fold0": "a.pt"}}, "train": {"evaluate": ["dfps_only"]}},
            "weights.full: there is no stage 'full'",
        ),
        (
            {
                "weights": {"full": {"fold0": "a.pt"}, "dfps": {"fold0": "a.pt"}},
                "train": {"evaluate": ["full"]},
            },
            "weights.dfps.fold0: no stage of train.evaluate needs it",
        ),
        (
            {"annotations": "table"},
            "train.stages.full.branches: sr learns from outlines, which `annotations: table` does"
            " not have: leave the stage out of train.evaluate",
        ),
        ({"cohort": "a b"}, "cohort: 'a b' should match pattern '^[A-Za-z0-9_-]+$'"),
        ({"scans": None}, "scans: None should be a valid string"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(config: dict[Any, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        check_settings({**LEAST, **config}, "own.yaml")
    assert str(error.value) == f"own.yaml: {message}"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"^own.yaml: scans: is missing$"):
        check_settings({"cohort": "a"}, "own.yaml")


def test_what_is_written_is_read_again_and_cannot_be_changed() -> None:
    settings = Recipe(train=TrainSettings(lr=0.5))
    assert Recipe.model_validate(settings.plain()) == settings
    with pytest.raises(ValidationError):
        settings.train.lr = 1.0


def test_equal_settings_are_written_alike() -> None:
    written = {"froc": {"bootstrap": 1000}, "preprocess": {"hu_window": [-1200, 600]}}
    written |= {"ncs": {"weight": 1, "negatives": 800}, "model": {"width": 1}}
    own, published = Settings(**LEAST, **written), Settings(**LEAST)
    assert repr(own.plain()) == repr(published.plain())
    assert list(own.plain("ncs", "model")) == ["model", "ncs"]
    assert own.train.plain("amp", "device") == {"device": "auto", "amp": True}


def test_a_stage_depends_on_those_before_it_and_on_the_longest_line_after_it() -> None:
    train = TrainSettings(gpus=4)
    part = train.part("dfps")
    assert {name: (s.after, s.epochs) for name, s in part.stages.items()} == {
        "ncs": (None, 65), "dfps": ("ncs", 15), "dfps_later": ("dfps", 120)
    }  # fmt: skip
    assert (part.evaluate, part.gpus, part.lr) == (("dfps",), 1, 0.01)
    assert TrainSettings.model_validate(part.plain()).plain() == part.plain()
    assert list(train.part("full").stages) == ["ncs", "dfps", "full"]
    more = {"other": {"after": "dfps", "epochs": 119, "branches": ["ncs", "dfps"]}}
    wider = TrainSettings.model_validate({"stages": more, "evaluate": ["full", "other"]})
    assert wider.part("dfps") == TrainSettings(evaluate=("full",)).part("dfps")
    longer = TrainSettings.model_validate({"stages": {"full": {"epochs": 121}}})
    assert longer.part("ncs") != train.part("ncs")
    named = {"x_later": {"epochs": 1, "branches": ["ncs"]}}
    named |= {"x": {"after": "x_later", "epochs": 2, "branches": ["ncs"]}}
    named |= {"y": {"after": "x", "epochs": 3, "branches": ["ncs"]}}
    part = TrainSettings.model_validate({"stages": named, "evaluate": ["y"]}).part("x")
    assert {name: s.epochs for name, s in part.stages.items()} == {
        "x_later": 1, "x": 2, "x_later_": 3
    }  # fmt: skip


def test_a_stage_is_trained_up_to_the_nearest_given_weights() -> None:
    weights = {"dfps": {"fold0": "a.pt", "fold1": "a.pt"}, "full": {"fold0": "b.pt"}}
    settings = Settings(**LEAST, weights=weights)
    assert settings.line("full", 0) == ["full"]
    assert settings.line("full", 1) == ["full", "dfps"]
    assert settings.line("full", 2) == ["full", "dfps", "ncs"]
    assert settings.trained(0) == ["ncs", "dfps_only", "ncs_only"]
    assert settings.trained(1) == ["ncs", "full", "dfps_only", "ncs_only"]
    assert settings.trained(2) == ["ncs", "dfps", "full", "dfps_only", "ncs_only"]
    assert (settings.given("full", 0), settings.given("full", 1)) == (("b.pt",), ())


def test_weights_are_one_file_or_an_ensemble() -> None:
    weights = {"full": {"fold0": ["a.pt", "b.pt"], "fold1": "c.pt"}}
    settings = Settings(**LEAST, weights=weights)
    assert settings.given("full", 0) == ("a.pt", "b.pt")
    assert Settings.model_validate(settings.plain()) == settings
    for given, fault in (
        ({"full": {"fold0": []}}, "weights.full.fold0"),
        ({"full": {"fold0": [""]}}, "weights.full.fold0.0"),
        ({"dfps": {"fold0": ["a.pt", "b.pt"]}}, "weights.dfps.fold0: a stage is trained from one"),
    ):
        with pytest.raises(InputError, match=fault):
            check_settings(LEAST | {"weights": given}, "a.yaml")


def test_only_an_evaluated_stage_is_tested_elsewhere() -> None:
    for own, fault in (
        ({"scans": "b.tsv", "stage": "dfps"}, "external.b.stage: dfps is not in train.evaluate"),
        ({"scan": "b.tsv"}, "external.b.scan: there is no such key, did you mean scans"),
        ({}, "external.b.scans: is missing"),
    ):
        with pytest.raises(InputError, match=fault):
            check_settings(LEAST | {"external": {"b": own}}, "a.yaml")


def test_only_what_scores_the_patients_held_out_counts_for_a_training() -> None:
    assert Recipe().watching() == {}
    folds = FoldsSettings(validation=0.1, seed=4)
    assert Recipe(folds=folds).watching() == {
        "folds": {"seed": 4, "validation": 0.1},
        "inference": Recipe().inference.plain(),
        "froc": {"readout": "challenge"},
    }
