"""Given weights: what they must have in common with the cohort and the stage."""

from pathlib import Path
from typing import Any

import pytest

from nodulenet.files import InputError, read_json, sha256
from nodulenet.model import NoduleNet
from nodulenet.model.given import check_given
from nodulenet.model.weights import Provenance, save_weights

PREPROCESS = {"grid": "world", "hu_window": [-1200, 600], "pad_value": 170}
BRANCHES = ["ncs", "dfps"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    preprocess = PREPROCESS | {"hu_window": (-1200.0, 600.0)}
    provenance = Provenance({"width": 0.1}, ("ncs", "dfps"), preprocess, "small", 2, 9, {})
    save_weights(NoduleNet(width=0.1), provenance, tmp_path / "a.pt")
    return tmp_path / "a.pt"


def check(
    weights: Path, branches: Any = BRANCHES, fold: int = 2, model: Any = None, **changes: Any
) -> Any:
    output = weights.with_name("given.json")
    check_given(weights, branches, fold, PREPROCESS | changes, model, output)
    return read_json(output)


def test_what_was_given_is_noted(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert check(weights) == {
        "file": str(weights),
        "sha256": sha256(weights),
        "stage": "small",
        "fold": 2,
        "epochs": 9,
        "branches": BRANCHES,
        "model": {"width": 0.1},
        "imported_from": None,
    }
    assert not caplog.text
    assert check(weights, model={"width": 0.1})["model"] == {"width": 0.1}
    assert check(weights, branches=["ncs"])["branches"] == BRANCHES  # a stage may use a part


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"grid": "corners"}, "preprocess.grid: world, but this cohort is prepared with corners"),
        ({"hu_window": [-1000, 600]}, "preprocess.hu_window: [-1200.0, 600.0], but"),
        ({"resample": False}, "preprocess.resample: None, but this cohort is prepared with False"),
        (
            {"branches": ["ncs", "dfps", "sr"]},
            "has the branches ncs, dfps, but the stage that it is given for has sr too",
        ),
        (
            {"model": {"width": 0.2}},
            "is a network of {'width': 0.1}, but the config's section model says {'width': 0.2}",
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


def test_weights_of_another_fold_are_told(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(weights, fold=1)
    assert f"{weights}: trained without fold 2, used for fold 1" in caplog.text
