"""The steps on a whole cohort: `python -m benchmarks.scale`.

Synthetic tables of 10,000 scans with 1,000,000 marks are written to a temporary folder; then each
step is run as in its job of the workflow, in a separate process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.froc import submission
from benchmarks.timing import print_machine
from nodulenet.cohort.folds import read_folds, split_folds, write_folds
from nodulenet.cohort.manifest import gather_manifest, read_manifest, write_manifest
from nodulenet.cohort.timings import gather_timings, write_timings
from nodulenet.files import write_json
from nodulenet.scan_table import read_scan_table

FOLDS = 6
FINDING_COLUMNS = (
    *("series_uid", "finding", "kind", "label", "marks", "readers", "level"),
    *("coordX", "coordY", "coordZ", "diameter_mm"),
    *("centroidX", "centroidY", "centroidZ", "equivalent_diameter_mm", "volume_mm3"),
    *("z", "y", "x", "d", "h", "w"),
)
PER_SCAN = ("annotations", "consensus", "preprocess")
BENCHMARK = "s\th:m:s\tmax_rss\tcpu_time\n3.85\t0:00:03\t210.85\t0.95\n"
USED = "2026-01-01 00:00:00,000 INFO job used 0.84 s of CPU and 211 MB of memory\n"
ORIGIN = {"consensus": "nodulenet/union/nearest/0.4", "level": 3, "config": "0" * 12}


def main() -> None:
    """Print one line per step; with --step run that step and print its peak memory."""
    options = parse()
    if options.step:
        STEPS[options.step](options.folder)
        status = Path("/proc/self/status").read_text()
        print(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line))
        return
    print_machine(["numpy", "pandas", "numba"])
    print("| step | seconds | CPU seconds | peak memory |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        marks = write_cohort(folder, options)
        total = np.zeros(3)
        for step in STEPS:
            if step == "concat":
                write_marks(folder, marks)
            figures = measure(step, folder)
            total = np.array([*(total + figures)[:2], max(total[2], figures[2])])
            print_row(step, figures)
    print_row("all", total)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--marks", type=int, default=1_000_000)
    parser.add_argument("--findings", type=int, default=400_000)
    parser.add_argument("--nodules", type=int, default=13_000)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_cohort(folder: Path, options: argparse.Namespace) -> pd.DataFrame:
    """Write the files of the scans' own jobs; return the marks of all scans."""
    nodules, excluded, marks, scans = submission(options)
    for name in ("volumes", "nodules", *(f"logs/{rule}" for rule in PER_SCAN)):
        (folder / name).mkdir(parents=True)
        if name.startswith("logs"):
            (folder / name.replace("logs", "logs/benchmarks")).mkdir(parents=True)
    head = "series_uid\tpatient_id\tct\tannotations\tlung_mask\n"
    rows = (f"{series}\tP{series}\t{series}.mhd\t{series}.xml\t\n" for series in scans)
    (folder / "scans.tsv").write_text(head + "".join(rows))
    findings = pd.concat([nodules.assign(kind="nodule"), excluded.assign(kind="below_level")])
    findings = findings.rename(columns={"seriesuid": "series_uid"}).reindex(
        columns=list(FINDING_COLUMNS), fill_value=7.123456789012
    )
    findings["label"] = np.where(
        findings["kind"] == "nodule", findings.groupby(["series_uid", "kind"]).cumcount() + 1, 0
    )
    by_scan = dict(list(findings.groupby("series_uid")))
    for series in scans:
        write_scan(folder, series, by_scan.get(series, findings[:0]))
    return marks


def write_scan(folder: Path, series: str, findings: pd.DataFrame) -> None:
    """The record, the findings, the logs and the benchmarks of one scan."""
    findings.to_csv(folder / f"nodules/{series}.csv", index=False)
    labels = findings["label"][findings["kind"] == "nodule"]
    affine = np.eye(4).tolist()
    record = {
        "series_uid": series,
        "status": "ok",
        "nodules": {str(label): {"voxels": 100, "lost": ""} for label in labels},
        "digest": "0" * 64,
        "warnings": [],
        "source_affine": affine,
        "affine": affine,
        "shape": [300, 250, 350],
    }
    (folder / f"volumes/{series}.json").write_text(json.dumps(record, indent=1))
    for rule in PER_SCAN:
        (folder / f"logs/benchmarks/{rule}/{series}.tsv").write_text(BENCHMARK)
        (folder / f"logs/{rule}/{series}.log").write_text(USED)


def write_marks(folder: Path, marks: pd.DataFrame) -> None:
    """Write the marks as the folds' predictions, by the folds of the previous step."""
    from nodulenet.inference.table import COLUMNS, DFPS_COLUMNS, write_predictions

    scans = read_folds(folder / "folds.tsv").set_index("series_uid")["fold"]
    marks = marks.assign(
        **dict.fromkeys(("ncs_probability", "dfps_probability"), marks["probability"]),
        **{column: marks[column[5:]] for column in DFPS_COLUMNS if "coord" in column},
        kept=1,
        fold=marks["seriesuid"].map(scans),
    ).reindex(columns=list(COLUMNS), fill_value=12.345)
    for fold in range(FOLDS):
        part = folder / f"fold{fold}/full"
        own = marks[marks["fold"] == fold]
        write_predictions([own], part / "predictions.csv")
        series = scans.index[scans == fold].tolist()
        counts = own["seriesuid"].value_counts().reindex(series, fill_value=0).to_dict()
        write_json(part / "predictions.json", {"scans": series, "candidates": counts})


def make_manifest(folder: Path) -> None:
    write_manifest(
        gather_manifest(read_scan_table(folder / "scans.tsv"), folder), folder / "manifest.tsv"
    )


def make_folds(folder: Path) -> None:
    write_folds(split_folds(read_manifest(folder / "manifest.tsv"), FOLDS, 0), folder / "folds.tsv")


def join(folder: Path) -> None:
    from nodulenet.inference.table import concat_predictions

    parts = [folder / f"fold{fold}/full" for fold in range(FOLDS)]
    concat_predictions(parts, folder / "folds.tsv", folder / "full/predictions.csv")


def evaluate(folder: Path) -> None:
    from nodulenet.evaluation import StageFiles, evaluate_stage
    from nodulenet.evaluation.tables import Origin
    from nodulenet.settings import FrocSettings

    files = StageFiles(
        folder / "manifest.tsv",
        folder / "folds.tsv",
        folder / "full/predictions.csv",
        [folder / f"fold{fold}/full/masks" for fold in range(FOLDS)],
    )
    evaluate_stage(files, FrocSettings(), Origin(**ORIGIN), folder / "full")


def make_timings(folder: Path) -> None:
    scans = set(read_manifest(folder / "manifest.tsv")["series_uid"])
    write_timings(gather_timings(folder / "logs", scans), folder / "timings.tsv")


STEPS: dict[str, Callable[[Path], None]] = {
    "manifest": make_manifest,
    "folds": make_folds,
    "concat": join,
    "FROC": evaluate,
    "timings": make_timings,
}


def measure(step: str, folder: Path) -> np.ndarray:
    """Wall and CPU seconds and peak memory in MB of a step in a separate process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--folder", str(folder)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    cpu = usage.ru_utime + usage.ru_stime
    return np.array([time.perf_counter() - start, cpu, int(printed.split()[-1]) / 1024])


def print_row(step: str, figures: np.ndarray) -> None:
    """One line of the table."""
    print(f"| {step} | {figures[0]:.1f} | {figures[1]:.1f} | {figures[2]:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
