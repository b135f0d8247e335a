"""Patients held out of a training, in the workflow."""

import json
from pathlib import Path

import pandas as pd
import pytest
import running
import yaml

from nodulenet.evaluation.held_out import score_validation
from nodulenet.model.weights import load_weights
from nodulenet.training.distributed import Rank
from nodulenet.training.job import HeldOut

RESULTS = "results/tiny"


@pytest.mark.parametrize(("stage", "fold"), [("full", 0), ("full", 1), ("ncs", 1)])
def test_the_cpm_of_scans_is_what_the_evaluation_says_of_them(
    first_run: Path, stage: str, fold: int
) -> None:
    """The scans of a fold, under the weights that never saw them, against froc.json."""
    results = first_run / RESULTS
    folds = pd.read_csv(results / "folds.tsv", sep="\t", dtype={"series_uid": str})
    held = HeldOut(
        results / "manifest.tsv",
        results / "folds.tsv",
        tuple(folds.series_uid[folds.fold == fold]),
    )
    net, trained = load_weights(results / f"fold{fold}/{stage}/weights.pt")
    cpm = score_validation(net.eval(), held, trained.branches, trained.settings, Rank())
    froc = json.loads((results / stage / "froc.json").read_text())
    assert cpm == pytest.approx(froc["sets"]["ensemble"]["folds"][str(fold)]["cpm"], abs=1e-6)


@pytest.mark.slow
def test_a_training_that_is_watched(fresh: Path) -> None:
    over = {
        "folds": {"validation": 0.5},
        "train": {"validate_every": 2, "warmup": 3, "stages": {"full": {"epochs": 3}}},
    }
    (fresh / "over.yaml").write_text(yaml.safe_dump(over))
    target = f"{RESULTS}/fold0/full/history.csv"
    running.run(fresh, target, "--cores", "2", "--configfile", "config.yaml", "over.yaml")
    folder = (fresh / target).parent
    held = pd.read_csv(folder / "validation.tsv", sep="\t", dtype=str)
    folds = pd.read_csv(fresh / RESULTS / "folds.tsv", sep="\t", dtype=str)
    test = set(folds.series_uid[folds.fold == "0"])
    assert len(held) == 1
    assert not test & set(held.series_uid)
    earlier = folder.parent / "ncs/validation.tsv"
    assert earlier.read_bytes() == (folder / "validation.tsv").read_bytes()
    history = pd.read_csv(folder / "history.csv")
    assert history.val_loss.notna().all()
    assert history.val_cpm.notna().tolist() == [False, True, True]
    assert history.val_cpm.dropna().between(0, 1).all()
    assert history.dfps_live_1.between(0, 1).all()
    assert not running.plan(fresh, target, "--configfile", "config.yaml", "over.yaml")


@pytest.mark.slow
def test_a_finished_run_that_shall_be_watched_is_trained_again(finished: Path) -> None:
    running.configure(finished, folds={"number": 2, "seed": 0, "validation": 0.5})
    jobs = running.plan(finished)
    assert {f"train stage {s} without fold {k}" for s in ("ncs", "full") for k in (0, 1)} <= jobs
