"""Faults of config, scan table and scans: exit status 1, one clear message, work kept."""

import copy
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import running
import tiny

RESULTS = "results/tiny"


def with_train(**changes: Any) -> dict[str, Any]:
    return {"train": {**copy.deepcopy(tiny.CONFIG["train"]), **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            with_train(batchh=4),
            "config.yaml: train.batchh: there is no such key, did you mean batch?",
        ),
        (
            {"froc": {"protocol": "luna16", "luna16": "data"}},
            "config.yaml: froc.luna16: there is no data/annotations.csv, no data/annotations_excl",
        ),
        (
            {"annotations": "table"},
            "config.yaml: train.stages.full.branches: sr learns from outlines",
        ),
        (
            {"weights": {"full": {"fold0": "none.pt"}}},
            "config.yaml: weights.full.fold0: none.pt does not exist",
        ),
    ],
)
def test_faults_of_the_config(fresh: Path, changes: dict[str, Any], message: str) -> None:
    running.configure(fresh, **changes)
    assert message in running.fail(fresh, "--dry-run")


def test_a_stage_that_is_asked_for_by_name_needs_outlines_too(fresh: Path) -> None:
    running.configure(fresh, annotations="table", **with_train(evaluate=["ncs"]))
    target = f"{RESULTS}/fold0/full/weights.pt"
    message = "config.yaml: train.stages.full.branches: sr learns from outlines"
    assert message in running.fail(fresh, "--dry-run", target)


def test_a_config_holds_plain_numbers(fresh: Path) -> None:
    config = fresh / "config.yaml"
    text, replaced = re.subn(r"\blr: \S+", "lr: 1_0", config.read_text())
    assert replaced
    config.write_text(text)
    line = next(k for k, line in enumerate(text.splitlines(), 1) if "1_0" in line)
    printed = running.fail(fresh, "--dry-run")
    assert f"config.yaml: line {line}: 1_0 is not a plain number" in printed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data/1.2.826.2.mhd", "data/none.mhd", "scans.tsv: data/none.mhd does not exist"),
        (tiny.SERIES[2] + "\t", "../up\t", "scans.tsv: line 4: series_uid '../up' is not a UID"),
    ],
)
def test_faults_of_the_scan_table(fresh: Path, old: str, new: str, message: str) -> None:
    table = fresh / "scans.tsv"
    table.write_text(table.read_text().replace(old, new, 1))
    assert message in running.fail(fresh, "--dry-run")


@pytest.mark.slow
def test_a_bad_scan_fails_or_is_left_out(fresh: Path) -> None:
    bad = tiny.SERIES[2]
    raw = fresh / f"data/{bad}.raw"
    raw.write_bytes(raw.read_bytes()[:1000])
    (fresh / "scans.tsv").write_text(
        (fresh / "scans.tsv").read_text().replace(f"data/{tiny.SERIES[3]}.xml", "")
    )
    printed = running.fail(fresh, "--keep-going", f"{RESULTS}/folds.tsv")
    faults = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(faults) == 1
    assert f"scan {bad}: data/{bad}." in faults[0]
    kept = fresh / RESULTS / f"volumes/{tiny.SERIES[0]}.npy"
    before = kept.stat().st_mtime_ns
    assert "Traceback" not in printed
    assert "Traceback" in (fresh / f"logs/tiny/consensus/{bad}.log").read_text()

    running.run(fresh, f"{RESULTS}/folds.tsv", "--config", "on_bad_scan=skip")
    manifest = pd.read_csv(fresh / RESULTS / "manifest.tsv", sep="\t")
    assert manifest["status"].eq("ok").tolist() == [True, True, False, True]
    assert f"data/{bad}." in manifest["status"][2]
    assert manifest["n_small"].tolist() == [1, 1, 0, 0]
    folds = pd.read_csv(fresh / RESULTS / "folds.tsv", sep="\t")
    assert folds["series_uid"].tolist() == [s for s in tiny.SERIES if s != bad]
    assert kept.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_corrupt_checkpoint_is_set_aside(first_run: Path, finished: Path) -> None:
    stage = finished / RESULTS / "fold0/full"
    (stage / "weights.pt").unlink()
    (stage / "checkpoint.pt").write_bytes(b"PK not a checkpoint")
    running.run(finished, f"{RESULTS}/fold0/full/weights.pt")
    assert (stage / "checkpoint.pt.corrupt").exists()
    told = (finished / "logs/tiny/train/fold0_full.log").read_text()
    assert "WARNING" in told
    assert "fold0/full/checkpoint.pt: " in told
    weights = f"{RESULTS}/fold0/full/weights.pt"
    assert running.same_weights(first_run / weights, finished / weights)


@pytest.mark.slow
def test_the_shipped_configs_plan_a_run(fresh: Path) -> None:
    root = Path(__file__).parents[2]
    for name in ("config.yaml", "lidc.yaml", "luna16.yaml", "released.yaml"):
        (fresh / name).write_text((root / name).read_text())
    overlays = ("--configfile", "lidc.yaml", "released.yaml")
    jobs = running.plan(fresh, *overlays, "--config", "scans=scans.tsv")
    stages = ("ncs", "dfps", "full", "dfps_only", "ncs_only")
    assert {job for job in jobs if job.startswith("train")} == {
        f"train stage {stage} without fold {fold}" for stage in stages for fold in range(6)
    }
    (fresh / "data/luna16").mkdir()
    for name in ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv"):
        (fresh / "data/luna16" / name).touch()
    jobs = running.plan(fresh, "--configfile", "luna16.yaml", "--config", "scans=scans.tsv")
    assert {job for job in jobs if job.startswith("train")} == {
        f"train stage {stage} without fold {fold}"
        for stage in ("ncs", "dfps", "dfps_only", "ncs_only")
        for fold in range(10)
    }
    assert "draw the histogram of Dice" not in jobs
