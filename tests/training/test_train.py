"""A stage on tiny scans: what it writes, and that a kill changes nothing."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_training import SETTINGS, job, kill_in_epoch, tensors, write_cohort

from nodulenet.files import InputError
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, load_weights, save_weights
from nodulenet.settings import ModelSettings, Recipe
from nodulenet.training import train_stage
from nodulenet.training.optimiser import start

CPU = torch.device("cpu")


def run(cohort: tuple[Path, Path], stage: str, output: Path, parent: Path | None = None) -> None:
    train_stage(job(cohort, stage, output, parent=parent), threads=1)


def test_a_killed_stage_resumes_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = write_cohort(tmp_path)
    run(cohort, "ncs", tmp_path / "whole")

    seen = kill_in_epoch(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        run(cohort, "ncs", tmp_path / "killed")
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    assert not (tmp_path / "killed" / "weights.pt").exists()
    run(cohort, "ncs", tmp_path / "killed")

    assert len(seen) == 4  # the last epoch alone was done again
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()
    whole, resumed = tensors(tmp_path / "whole"), tensors(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    losses = [pd.read_csv(tmp_path / n / "history.csv").loss.tolist() for n in ("whole", "killed")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_a_later_stage_starts_from_the_weights_and_momentum_before(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path)
    run(cohort, "ncs", tmp_path / "ncs")
    net, optimiser = start(job(cohort, "full", tmp_path, parent=tmp_path / "ncs"), CPU)
    before = tensors(tmp_path / "ncs")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    momentum = torch.load(tmp_path / "ncs" / "momentum.pt", weights_only=True)
    names = {p: name for name, p in net.named_parameters()}
    found = {names[p]: s["momentum_buffer"] for p, s in optimiser.state.items()}
    assert found.keys() == momentum.keys()
    assert not any(name.startswith(("dfps", "sr")) for name in momentum)

    run(cohort, "full", tmp_path / "full", tmp_path / "ncs")
    history = pd.read_csv(tmp_path / "full" / "history.csv")
    assert history.epoch.tolist() == [3]
    assert history[["ncs_class", "dfps_class", "dfps_box", "sr"]].notna().all(axis=None)
    _, provenance = load_weights(tmp_path / "full" / "weights.pt")
    assert (provenance.stage, provenance.fold, provenance.epochs) == ("full", 1, 4)


def test_a_checkpoint_of_other_settings_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = write_cohort(tmp_path)
    monkeypatch.setattr(Path, "unlink", lambda *_a, **_k: None)  # the finished stage keeps it
    run(cohort, "ncs", tmp_path / "ncs")
    changed = copy.deepcopy(SETTINGS)
    changed["train"]["lr"] = 0.02
    train_stage(job(cohort, "ncs", tmp_path / "ncs", changed), threads=1)
    assert "not resumed" in caplog.text
    assert pd.read_csv(tmp_path / "ncs" / "history.csv").lr.max() == 0.02


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 cut short", {"state_dict": []}, {"momentum": None}, {"history": ...}]
)
def test_a_corrupt_checkpoint_is_set_aside_and_the_stage_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, content: Any
) -> None:
    cohort = write_cohort(tmp_path)
    checkpoint = tmp_path / "ncs" / "checkpoint.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_a, **_k: None)  # the finished stage keeps it
        run(cohort, "ncs", tmp_path / "ncs")
    whole = (tmp_path / "ncs/weights.pt").read_bytes()
    if isinstance(content, bytes):
        checkpoint.write_bytes(content)
    else:
        held = torch.load(checkpoint, weights_only=True) | content
        torch.save({key: value for key, value in held.items() if value is not ...}, checkpoint)
    run(cohort, "ncs", tmp_path / "ncs")
    assert f"{checkpoint}: " in caplog.text
    assert "set aside, the stage starts" in caplog.text
    assert (tmp_path / "ncs/weights.pt").read_bytes() == whole
    assert checkpoint.with_name("checkpoint.pt.corrupt").exists()
    assert not checkpoint.exists()


def test_a_training_set_without_nodules_is_an_error(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path, nodules=False)
    with pytest.raises(InputError, match=r"manifest\.tsv: no nodule to train on outside fold 1"):
        run(cohort, "ncs", tmp_path / "ncs")


@pytest.mark.parametrize(("stage", "lr"), [("ncs", 1e30), ("full", 1e3)])
def test_a_training_that_diverges_says_where(tmp_path: Path, stage: str, lr: float) -> None:
    cohort = write_cohort(tmp_path)
    run(cohort, "ncs", tmp_path / "ncs")
    parent = tmp_path / "ncs" if stage == "full" else None
    changed = copy.deepcopy(SETTINGS)
    changed["train"]["lr"] = lr
    changed["train"]["stages"]["full"]["epochs"] = 9
    with pytest.raises(InputError, match=rf"fold 1, stage {stage}, epoch \d: .*lower train\.lr"):
        train_stage(job(cohort, stage, tmp_path / "new", changed, parent), threads=1)


def test_a_parent_of_another_size_is_refused(tmp_path: Path) -> None:
    provenance = Provenance(Recipe(model=ModelSettings(width=0.2)), ("ncs",), "ncs", 1, 3)
    save_weights(NoduleNet(width=0.2), provenance, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights\.pt: is a network of .*0\.2.*model says .*0\.1"):
        start(job((tmp_path, tmp_path), "full", tmp_path, parent=tmp_path), CPU)


def test_given_weights_start_a_stage_without_momentum(tmp_path: Path) -> None:
    net = NoduleNet(**SETTINGS["model"])
    settings = Recipe.model_validate(SETTINGS)
    save_weights(net, Provenance(settings, ("ncs",), "ncs", None, 3), tmp_path / "weights.pt")
    given = replace(job((tmp_path, tmp_path), "full", tmp_path, parent=tmp_path), momentum=None)
    started, optimiser = start(given, CPU)
    held = net.state_dict()
    assert all(torch.equal(value, held[name]) for name, value in started.state_dict().items())
    assert not optimiser.state


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_backbone_learns_the_same(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path)
    histories, names = [], []
    for compiled in (False, True):
        own = copy.deepcopy(SETTINGS)
        own["train"] |= {"compile": compiled}
        output = tmp_path / str(compiled)
        train_stage(job(cohort, "ncs", output, own), threads=2)
        histories.append(pd.read_csv(output / "history.csv"))
        names.append(tensors(output).keys())
    for name in ("ncs_class", "ncs_box"):
        np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=1e-3)
    assert names[0] == names[1]
