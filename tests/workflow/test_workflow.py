"""The DAG from end to end: targets, what reruns and what does not, resume, report."""

import hashlib
import json
import shutil
import time
import zipfile
from pathlib import Path

import pandas as pd
import psutil
import pytest
import running
import tiny

from nodulenet.cli import main

RESULTS = "results/tiny"


def test_all_targets(first_run: Path) -> None:
    results = first_run / RESULTS
    expected = [
        *(f"annotations/{series}.json" for series in tiny.SERIES),
        *(f"nodules/{series}.npz" for series in tiny.SERIES),
        *(f"volumes/{series}_mask.npy" for series in tiny.SERIES),
        "folds.tsv",
        *(f"fold{k}/{s}/weights.pt" for k in (0, 1) for s in ("ncs", "full")),
        *(f"fold{k}/full/predictions.csv" for k in (0, 1)),
        *(f"full/{name}" for name in ("predictions.csv", "froc.csv", "segmentation.csv")),
        *(f"full/{name}" for name in ("nodules.csv", "false_positives.csv", "readers.csv")),
        *(f"figures/{name}.svg" for name in ("froc", "dice", "training_fold0", "training_fold1")),
        *("figures/ablation.svg", "ablation.csv", "reader_pairs.csv"),
        "full/gallery.png",
        "figures/timings.svg",
        "report.html",
    ]
    assert [path for path in expected if not (results / path).stat().st_size] == []
    manifest = pd.read_csv(results / "manifest.tsv", sep="\t")
    assert manifest["n_kept"].tolist() == [2, 1, 1, 0]
    froc = json.loads((results / "full/froc.json").read_text())
    assert set(froc["sets"]) == {"ensemble", "dfps", "ncs"}
    assert froc["sets"]["ensemble"]["scans"] == 3
    assert froc["sets"]["ensemble"]["nodules"] == 4
    assert froc["all_scans"]["ensemble"]["scans"] == 4
    nodules = pd.read_csv(results / "full/nodules.csv", dtype={"config": str})
    assert (nodules["set"] == "ensemble").sum() == 2 * 4
    assert set(nodules["consensus"]) == {"nodulenet/union/nearest/0.4"}
    assert set(nodules["config"]) == {froc["stamp"]["config"]}
    history = pd.read_csv(results / "fold0/full/history.csv")
    assert len(history) == tiny.CONFIG["train"]["stages"]["full"]["epochs"]
    assert list((results / "fold0/full/tensorboard").glob("events*"))
    assert not list(results.glob("fold*/*/checkpoint.pt"))


def test_stages_and_readers_are_compared(first_run: Path) -> None:
    results = first_run / RESULTS
    ablation = pd.read_csv(results / "ablation.csv").set_index("stage")
    assert ablation["trained"].to_dict() == {"full": "ncs > full", "ncs": "ncs"}
    assert ablation["reference"].tolist() == ["ncs", "ncs"]
    cpm = ablation["cpm"]
    assert abs(ablation.loc["full", "difference"] - (cpm["full"] - cpm["ncs"])) < 1e-5
    assert ablation["difference"].isna().tolist() == [False, True]
    assert (ablation[["scans", "nodules"]] == [3, 4]).all(axis=None)
    # The four readers draw every nodule alike.
    pairs = pd.read_csv(results / "reader_pairs.csv")
    assert len(pairs) == 4 * (6 + 4)
    assert (pairs[["dice", "surface_p95_mm"]] == [1, 0]).all(axis=None)
    readers = pd.read_csv(results / "full/readers.csv")
    nodules = pd.read_csv(results / "full/segmentation.csv").set_index(["series_uid", "label"])
    assert len(readers) == 4 * len(nodules) == 16
    for row in readers.itertuples():
        assert row.dice == nodules.loc[(row.series_uid, row.label), "dice"]


def test_the_page_of_the_cohort_tells_its_scores(first_run: Path) -> None:
    page = (first_run / RESULTS / "report.html").read_text()
    froc = json.loads((first_run / RESULTS / "full/froc.json").read_text())
    assert "Lung nodules of the cohort tiny" in page
    assert 'id="synthetic"' not in page  # its scans are not of results/demo/source
    assert f"<strong>{froc['sets']['ensemble']['cpm']:.3f}</strong>" in page
    false = pd.read_csv(first_run / RESULTS / "full/false_positives.csv")
    false = false[(false["set"] == "ensemble") & (false["denominator"] == "all")]
    assert page.count('data-kind="false"') == min(len(false), 100)
    for series in tiny.SERIES:
        assert series in page
    assert page.count('alt="Losses and learning rate of the stages trained without fold') == 2
    timings = pd.read_csv(first_run / RESULTS / "timings.tsv", sep="\t")
    for rule in timings["rule"].unique():
        assert f">{rule}</th>" in page


def test_a_second_run_has_nothing_to_do(finished: Path) -> None:
    assert "Nothing to be done" in running.run(finished)


def test_a_deleted_fold_alone_is_made_again(first_run: Path, finished: Path) -> None:
    shutil.rmtree(finished / RESULTS / "fold0")
    jobs = running.plan(finished)
    assert {job for job in jobs if "fold 1" in job} == set()
    assert {job for job in jobs if "fold 0" in job} == {
        "train stage ncs without fold 0",
        "train stage full without fold 0",
        "predict the scans of fold 0 with stage full",
        "predict the scans of fold 0 with stage ncs",
        "draw the training curves of fold 0",
    }
    assert not any("scan 1." in job for job in jobs)


@pytest.mark.slow
def test_an_edit_reruns_the_rules_it_decides(finished: Path) -> None:
    package = running.own_package(finished)

    def edited(module: str) -> set[str]:
        path = package / module
        source = path.read_text()
        path.write_text(source + "\nEDITED = True\n")
        jobs = running.plan(finished)
        path.write_text(source)
        return jobs

    jobs = edited("evaluation/froc.py")
    assert "score stage full" in jobs
    assert not any(word in job for job in jobs for word in ("train stage", "predict", "scan 1."))
    jobs = edited("training/engine.py")
    assert {f"train stage ncs without fold {k}" for k in (0, 1)} <= jobs
    assert not any("scan 1." in job for job in jobs)
    assert {f"preprocess scan {series}" for series in tiny.SERIES} <= edited(
        "imaging/preprocess.py"
    )
    assert running.plan(finished) == set()


@pytest.mark.slow
def test_the_challenge_s_protocol_scores_the_same_predictions(finished: Path) -> None:
    head = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    official = {
        "annotations.csv": head + f"{tiny.SERIES[0]},18,30,18,10\n1.9,0,0,0,5\n",
        "annotations_excluded.csv": head,
        "seriesuids.csv": "".join(f"{series}\n" for series in (*tiny.SERIES[:2], "1.9")),
    }
    (finished / "official").mkdir()
    for name, text in official.items():
        (finished / "official" / name).write_text(text)
    mine = json.loads((finished / RESULTS / "full/froc.json").read_text())
    running.configure(finished, froc={"protocol": "luna16", "luna16": "official", "bootstrap": 10})
    jobs = running.plan(finished, f"{RESULTS}/full/froc.json")
    assert jobs == {"score stage full"}
    running.run(finished, f"{RESULTS}/full/froc.json")
    froc = json.loads((finished / RESULTS / "full/froc.json").read_text())
    assert [froc[key] for key in ("protocol", "scans", "listed", "scans_not_listed")] == [
        "luna16", 2, 3, 2
    ]  # fmt: skip
    assert froc["sets"]["ensemble"]["nodules"] == 1
    assert froc["stamp"]["consensus"] == "given"
    assert froc["stamp"]["config"] != mine["stamp"]["config"]
    assert "2 of the 3 listed scans" in (finished / "logs/tiny/evaluate/full.log").read_text()


def test_another_stage_leaves_the_trained_ones_alone(finished: Path) -> None:
    train = dict(tiny.CONFIG["train"])
    train["stages"] = {
        **train["stages"],
        "ncs_only": {"after": "ncs", "epochs": 1, "branches": ["ncs"]},
    }
    train["evaluate"] = ["full", "ncs_only"]
    train["gpus"] = 2  # nor does another number of devices train them anew
    running.configure(finished, train=train)
    jobs = {job for job in running.plan(finished) if job.startswith("train")}
    assert jobs == {f"train stage ncs_only without fold {k}" for k in (0, 1)}


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(first_run: Path, finished: Path) -> None:
    stage = finished / RESULTS / "fold0/full"
    shutil.rmtree(stage)
    target = f"{RESULTS}/fold0/full/weights.pt"
    process = running.start(finished, target)
    while not (stage / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.is_running() and any(part.endswith("train.py") for part in child.cmdline()):
            child.kill()
    printed, _ = process.communicate()
    assert process.returncode == 1, printed
    assert [path.name for path in stage.iterdir()] == ["checkpoint.pt"]
    running.run(finished, target)
    log = (finished / "logs/tiny/train/fold0_full.log").read_text()
    assert "resumed after" in log
    uninterrupted = first_run / target
    assert running.same_weights(finished / target, uninterrupted)
    epochs = pd.read_csv(stage / "history.csv")["epoch"].tolist()
    assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
    assert epochs == pd.read_csv(uninterrupted.parent / "history.csv")["epoch"].tolist()


@pytest.mark.slow
def test_a_stage_trained_beside_the_workflow_counts_as_made(finished: Path) -> None:
    stage = f"{RESULTS}/fold0/full"
    shutil.rmtree(finished / stage)
    made = ("weights.pt", "momentum.pt", "history.csv", "tensorboard")
    running.run(finished, "--cleanup-metadata", *(f"{stage}/{name}" for name in made))
    configs = [str(folder / "config.yaml") for folder in (running.ROOT, finished)]
    words = ["--config", *configs, "--fold", "0", "--stage", "full", "--threads", "1"]
    assert main(["train", str(finished / RESULTS), *words]) == 0
    jobs = running.plan(finished)
    assert "predict the scans of fold 0 with stage full" in jobs
    assert not any(job.startswith("train") for job in jobs)


@pytest.mark.slow
def test_the_report_holds_the_figures(finished: Path, tmp_path: Path) -> None:
    running.run(finished, "--report", str(tmp_path / "report.zip"))
    held = {}
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        for name in report.namelist():
            held[hashlib.sha256(report.read(name)).hexdigest()] = name
    results = finished / RESULTS
    for path in (
        "figures/froc.svg",
        "figures/dice.svg",
        "figures/timings.svg",
        "full/gallery.png",
        "full/froc.csv",
        "ablation.csv",
        "report.html",
    ):
        digest = hashlib.sha256((results / path).read_bytes()).hexdigest()
        assert digest in held, path
