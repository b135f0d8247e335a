"""One network trained from exported weights on scans that are in no fold, tested on the others."""

import math
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
import running
import tiny
import torch

from nodulenet.cohort import read_folds
from nodulenet.files import read_json
from nodulenet.findings.export import export_weights
from nodulenet.model.weights import load_weights
from nodulenet.scan_table import NO_FOLD

RESULTS = "results/tiny"


@pytest.mark.slow
def test_one_test_set_and_scans_to_train_on_alone(finished: Path) -> None:
    source = finished / RESULTS / "fold0/full/weights.pt"
    export_weights(source, finished / "start.safetensors", Fraction(8))
    table = pd.read_csv(finished / "scans.tsv", sep="\t", dtype=str)
    table["fold"] = ["0", "train", "train", "0"]
    table.to_csv(finished / "scans.tsv", sep="\t", index=False)
    # A rate so small that the network stays what it starts from.
    train = tiny.CONFIG["train"] | {"evaluate": ["full"], "init": "start.safetensors", "lr": 1e-9}
    own = {"folds": {"number": 1}, "augment": tiny.CONFIG["augment"] | {"hard_negatives": 2}}
    tiny.write_config(finished, tiny.CONFIG | own | {"train": train})
    jobs = running.plan(finished)
    assert {job for job in jobs if job.startswith("train stage")} == {
        "train stage ncs without fold 0",
        "train stage full without fold 0",
    }
    running.run(finished)
    negatives = pd.read_csv(finished / RESULTS / "hard_negatives.csv")
    assert set(negatives.seriesuid) <= {tiny.SERIES[1], tiny.SERIES[2]}
    assert len(negatives)
    nodules = len(tiny.NODULES[tiny.SERIES[1]]) + len(tiny.NODULES[tiny.SERIES[2]])
    crops = nodules + round(nodules / 2) + min(len(negatives), 2 * nodules)
    steps = pd.read_csv(finished / RESULTS / "fold0/full/history.csv")["steps"]
    assert set(steps) == {math.ceil(crops / train["batch"])}
    folds = read_folds(finished / RESULTS / "folds.tsv")
    assert folds["fold"].tolist() == [0, NO_FOLD, NO_FOLD, 0]
    predicted = read_json(finished / RESULTS / "fold0/full/predictions.json")
    assert sorted(predicted["scans"]) == [tiny.SERIES[0], tiny.SERIES[3]]
    scores = read_json(finished / RESULTS / "full/froc.json")
    assert scores["sets"]["ensemble"]["nodules"] == len(tiny.NODULES[tiny.SERIES[0]])
    assert scores["segmentation"]["nodules"] == len(tiny.NODULES[tiny.SERIES[0]])
    started, ended = (load_weights(path)[0] for path in (finished / "start.safetensors", source))
    for (name, one), two in zip(started.named_parameters(), ended.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5), name
    assert (finished / RESULTS / "report.html").exists()


def test_weights_of_another_network_are_refused_before_any_work(fresh: Path) -> None:
    """The bundled detector is wider than the tiny network."""
    running.configure(fresh, train=tiny.CONFIG["train"] | {"init": "bundled"})
    printed = running.fail(fresh, "--cores", "1")
    assert "detector.safetensors: is a network of {'width': 0.34" in printed
    assert not (fresh / RESULTS / "manifest.tsv").exists()


def test_one_fold_without_scans_to_train_on_is_named_at_once(fresh: Path) -> None:
    running.configure(fresh, folds={"number": 1})
    assert "scans.tsv: folds.number is 1 and no scan has the fold `train`" in running.fail(fresh)


def test_weights_to_start_from_that_do_not_exist_are_named_at_once(fresh: Path) -> None:
    running.configure(fresh, train=tiny.CONFIG["train"] | {"init": "none.pt"})
    assert "config.yaml: train.init: none.pt does not exist" in running.fail(fresh)
