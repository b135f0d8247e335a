"""The config's section weights: what is not trained then, and what is refused."""

import copy
import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest
import running
import tiny

from nodulenet.files import read_json
from nodulenet.model.weights import load_weights, save_weights

RESULTS = "results/tiny"
USED = {
    "join the folds' predictions of stage full",
    "score stage full",
    "draw detections of stage full",
    "draw the FROC curves",
    "draw the histogram of Dice",
    "compare the evaluated stages with full",
    "compare the readers of every nodule",
    "gather the time and memory of all jobs",
    "draw where the time went",
    "write the report of the cohort",
}


def give(clone: Path, stage: str) -> None:
    """Put fold 0's weights aside, delete it, give them in the config; evaluate `full` alone."""
    shutil.move(clone / RESULTS / "fold0" / stage / "weights.pt", clone / "given.pt")
    shutil.rmtree(clone / RESULTS / "fold0")
    train = tiny.CONFIG["train"] | {"evaluate": ["full"]}
    weights = {stage: {"fold0": "given.pt"}}
    tiny.write_config(clone, tiny.CONFIG | {"train": train, "weights": weights})


@pytest.mark.slow
def test_a_given_fold_is_predicted_and_not_trained(first_run: Path, finished: Path) -> None:
    give(finished, "full")
    assert running.plan(finished) == USED | {
        "check the given weights of stage full, fold 0",
        "predict the scans of fold 0 with stage full",
    }
    predictions = f"{RESULTS}/fold0/full/predictions.csv"
    running.run(finished, predictions)
    pd.testing.assert_frame_equal(
        pd.read_csv(finished / predictions), pd.read_csv(first_run / predictions)
    )
    (own,) = read_json(finished / RESULTS / "fold0/full/given.json")["networks"]
    assert own["file"] == "given.pt"
    assert not (finished / RESULTS / "fold0/ncs").exists()
    train = copy.deepcopy(tiny.CONFIG["train"])
    train["stages"]["other"] = {"after": "ncs", "epochs": 1, "branches": ["ncs"]}
    running.configure(finished, train=train | {"evaluate": ["full", "other"]})
    assert {job for job in running.plan(finished) if "training" in job or "train stage" in job} == {
        "train stage ncs without fold 0",
        "train stage other without fold 0",
        "train stage other without fold 1",
        "draw the training curves of fold 0",
        "draw the training curves of fold 1",
    }


def test_a_stage_starts_from_the_given_one_before_it(finished: Path) -> None:
    give(finished, "ncs")
    jobs = running.plan(finished)
    assert {job for job in jobs if "train" in job} == {
        "train stage full without fold 0",
        "draw the training curves of fold 0",
    }
    assert "check the given weights of stage ncs, fold 0" in jobs


def test_weights_of_other_images_are_refused_before_any_work(fresh: Path, first_run: Path) -> None:
    net, provenance = load_weights(first_run / RESULTS / "fold0/full/weights.pt")
    preprocess = provenance.preprocess.model_copy(update={"grid": "corners"})
    settings = provenance.settings.model_copy(update={"preprocess": preprocess})
    save_weights(net, dataclasses.replace(provenance, settings=settings), fresh / "given.pt")
    running.configure(fresh, weights={"full": {"fold0": "given.pt"}})
    printed = running.fail(fresh, "--cores", "1")
    faults = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(faults) == 1
    assert "error: given.pt: was trained on images with preprocess.grid: corners" in faults[0]
    assert not (fresh / RESULTS / "manifest.tsv").exists()
