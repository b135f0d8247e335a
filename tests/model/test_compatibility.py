"""Given weights: what they must have in common with the cohort and the stage."""

from pathlib import Path
from typing import Any

import pytest

from nodulenet.files import InputError, read_json, sha256
from nodulenet.model import NoduleNet
from nodulenet.model.compatibility import Use, check_given_weights
from nodulenet.model.weights import Provenance, save_weights
from nodulenet.settings import ModelSettings, PreprocessSettings, Recipe

SMALL = ModelSettings(width=0.1)
BRANCHES = ["ncs", "dfps"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    provenance = Provenance(Recipe(model=SMALL), ("ncs", "dfps"), "small", 2, 9)
    save_weights(NoduleNet(width=0.1), provenance, tmp_path / "a.pt")
    return tmp_path / "a.pt"


def check(
    weights: Path, branches: Any = BRANCHES, fold: int | None = 2, model: Any = None, **changes: Any
) -> Any:
    output = weights.with_name("given.json")
    use = Use(branches, fold, PreprocessSettings.model_validate(changes), model)
    check_given_weights([weights], use, output)
    (own,) = read_json(output)["networks"]
    return own


def test_a_record_of_given_weights_is_written(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert check(weights) == {
        "file": str(weights),
        "sha256": sha256(weights),
        "stage": "small",
        "fold": 2,
        "epochs": 9,
        "branches": BRANCHES,
        "model": {"width": 0.1, "dfps_features": "enc2"},
        "imported_from": None,
    }
    assert not caplog.text
    assert check(weights, model=SMALL)["model"]["width"] == 0.1
    assert check(weights, branches=["ncs"])["branches"] == BRANCHES  # a stage may use a part


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"grid": "corners"}, "preprocess.grid: world, but this cohort is prepared with corners"),
        ({"hu_window": [-1000, 600]}, "preprocess.hu_window: [-1200.0, 600.0], but"),
        ({"resample": False}, "preprocess.resample: True, but this cohort is prepared with False"),
        (
            {"branches": ["ncs", "dfps", "sr"]},
            "has the branches ncs, dfps, but the stage that it is given for has sr too",
        ),
        (
            {"model": ModelSettings(width=0.2)},
            "is a network of {'width': 0.1, 'dfps_features': 'enc2'}, but the config's section"
            " model says {'width': 0.2, ",
        ),
    ],
)
def test_another_preparation_or_stage_is_refused(
    weights: Path, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(InputError) as error:
        check(weights, **changes)
    assert str(error.value).startswith(f"{weights}: ")
    assert fault in str(error.value)
    assert not weights.with_name("given.json").exists()


def test_weights_of_another_fold_are_warned_of(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check(weights, fold=None)
    assert not caplog.text
    check(weights, fold=1)
    assert f"{weights}: trained without fold 2, used for fold 1" in caplog.text


def test_every_network_of_an_ensemble_is_checked(weights: Path) -> None:
    other = Provenance(Recipe(model=SMALL), ("ncs",), "other", 2, 9)
    save_weights(NoduleNet(width=0.1), other, weights.with_name("b.pt"))
    files, output = [weights, weights.with_name("b.pt")], weights.with_name("given.json")
    use = Use(["ncs"], 2, PreprocessSettings())
    check_given_weights(files, use, output)
    networks = read_json(output)["networks"]
    assert [one["file"] for one in networks] == [str(path) for path in files]
    with pytest.raises(InputError, match=r"b\.pt: has the branches ncs, but the stage"):
        check_given_weights(files, Use(["ncs", "dfps"], 2, PreprocessSettings()), output)
