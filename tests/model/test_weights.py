"""Weights files: what is read back, of this version, older ones and newer ones."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nodulenet.files import CorruptArtefact, InputError
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, SourceCheckpoint, load_weights, save_weights
from nodulenet.settings import ModelSettings, NcsSettings, Recipe, TrainSettings

TRAINED = Recipe(
    model=ModelSettings(width=0.05),
    ncs=NcsSettings(negatives=50),
    train=TrainSettings(lr=0.02).part("dfps"),
)
SOURCE = SourceCheckpoint("a.ckpt", "ab")
PROVENANCE = Provenance(TRAINED, ("ncs", "dfps"), "dfps", None, 80, SOURCE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_weights(NoduleNet(width=0.05), PROVENANCE, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def change(path: Path, **changes: Any) -> None:
    """Write the file again with other settings; one that is `...` is left out."""
    content = torch.load(path, weights_only=True)
    settings = content["settings"] | changes
    content["settings"] = {key: value for key, value in settings.items() if value is not ...}
    torch.save(content, path)


def test_what_is_known_of_a_network_is_read_back(path: Path) -> None:
    assert load_weights(path)[1] == PROVENANCE


def test_a_setting_that_an_older_file_lacks_has_its_published_value(path: Path) -> None:
    change(path, ncs={"negatives": 50}, sr=..., folds=..., inference=..., froc=...)
    assert load_weights(path)[1] == PROVENANCE


def test_stages_of_an_older_file_that_are_not_named_in_full_are_left_out(path: Path) -> None:
    stages = {"ncs": {"epochs": 65}, "(later)": {"after": "ncs", "epochs": 9}}
    change(path, train={"lr": 0.02, "stages": stages})
    assert load_weights(path)[1].settings.train == TrainSettings(lr=0.02)


def test_a_setting_of_a_newer_file_is_named(path: Path) -> None:
    change(path, ncs={"negatves": 50})
    fault = r"weights\.pt: settings: ncs\.negatves: there is no such key, did you mean negatives\?"
    with pytest.raises(InputError, match=fault):
        load_weights(path)
    assert path.exists()


@pytest.mark.parametrize("settings", [{"ncs": 3}, {"train": {"stages": 3}}])
def test_settings_that_are_no_sections_are_damage(path: Path, settings: dict[str, Any]) -> None:
    change(path, **settings)
    with pytest.raises(CorruptArtefact, match=r"weights\.pt: holds no settings"):
        load_weights(path)


def test_a_network_of_unknown_features_is_refused(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["model"]["dfps_features"] = "enc3"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"weights\.pt: settings: model\.dfps_features: 'enc3'"):
        load_weights(path)
