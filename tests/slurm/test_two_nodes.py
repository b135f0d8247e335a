"""One training on two nodes of the cluster, as docs/distributed.md starts it."""

import copy
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import small_training
import torch
import yaml

from nodulenet.training import train_stage

pytestmark = pytest.mark.slow

TERMS = ["loss", "ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr"]


def settings() -> dict:
    """4 epochs of 5 crops in batches of 3, every crop a micro-batch: 8 steps of all branches."""
    own = copy.deepcopy(small_training.SETTINGS)
    own["augment"]["random_crops"] = 4
    own["sr"] = {"threshold": 0.1}
    branches = ["ncs", "dfps", "sr"]
    own["train"]["stages"] = {"full": {"after": None, "epochs": 4, "branches": branches}}
    # What a job of Snakemake would start on its machine does not count under srun.
    own["train"] |= {"batch": 3, "micro_batch": 1, "gpus": 4}
    return own


def submit(cohort: Path) -> dict[str, str]:
    """Train by a batch job of a task on each node; gives what `scontrol` says of it at its end."""
    train = (
        f"srun --kill-on-bad-exit=1 {sys.executable} -m nodulenet.cli train {cohort}"
        f" --config {cohort}/config.yaml --fold 1 --stage full --threads 1"
    )
    ask = ["--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=1", "--partition=gpu"]
    job = call("sbatch", "--parsable", *ask, f"--output={cohort}/job.log", f"--wrap={train}")
    # `sbatch --wait` asks ever more rarely.
    end = time.monotonic() + 300
    while True:
        fields = call("scontrol", "show", "job", "--oneliner", job.strip())
        shown = dict(re.findall(r"(\S+?)=(\S*)", fields))
        if shown["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            return shown
        assert time.monotonic() < end, (cohort / "job.log").read_text()
        time.sleep(0.5)


def call(*command: str) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_two_nodes_end_as_one_process_that_accumulates(
    nodes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = small_training.write_cohort(tmp_path)
    config = {"cohort": "two", "scans": "scans.tsv", **settings()}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    # The nodes of this cluster are one machine, which does not know their names.
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    job = submit(tmp_path)
    assert job["JobState"] == "COMPLETED", (tmp_path / "job.log").read_text()
    assert job["NodeList"] == f"{nodes[0][:-1]}[1-2]"

    alone = {**settings(), "train": {**settings()["train"], "gpus": 1}}
    train_stage(small_training.job(cohort, "full", tmp_path / "alone", alone), threads=1)
    both = tmp_path / "fold1/full"
    mine, theirs = (pd.read_csv(folder / "history.csv") for folder in (tmp_path / "alone", both))
    assert theirs["processes"].tolist() == [2] * 4
    assert mine["processes"].tolist() == [1] * 4
    assert (theirs["sr"] > 0).any()  # segmented
    pd.testing.assert_frame_equal(mine[TERMS], theirs[TERMS], rtol=0, atol=1e-5)
    ours, its = (small_training.tensors(folder) for folder in (both, tmp_path / "alone"))
    # The sums of the two have another order, which may change the last bit.
    torch.testing.assert_close(ours, its, rtol=0, atol=1e-7)
