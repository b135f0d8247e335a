"""Projected cost of a large cohort: `python -m benchmarks.projection`, from measured single scans.

The measurements, with their commands, are in benchmarks/measured.yaml; `--figures` takes a file
with measurements of your own machine. The numbers of crops and predictions follow from the configs.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nodulenet.settings import Settings, read_settings

HOUR = 3600.0
FIGURES = Path(__file__).with_name("measured.yaml")
CONFIG = (Path("lidc.yaml"),)
COLUMNS = (
    *("scans", "jobs", "scans' rules, CPU h", "training, crops", "training, CPU h"),
    *("training, GPU h", "prediction, CPU h", "prediction, GPU h", "tables, CPU h"),
    *("results, GB", "files"),
)


@dataclass(frozen=True)
class Projection:
    """The cost of a cohort: CPU hours, GPU hours, 10^9 bytes of results, and counts."""

    scans: int
    jobs: int
    preparing: float
    crops: float
    training: float
    training_gpu: float
    predicting: float
    predicting_gpu: float
    gathering: float
    gigabytes: float
    files: int


def main() -> None:
    """Print one line per cohort size."""
    options = parse()
    figures = yaml.safe_load(options.figures.read_text())
    config = read_settings(options.config)
    print(f"| {' | '.join(COLUMNS)} |")
    print("| --- " * len(COLUMNS) + "|")
    for scans in options.scans:
        print(row(project(scans, figures, config, options.tflops)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[1018, 10_000, 100_000])
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--config", type=Path, nargs="+", default=CONFIG, metavar="YAML")
    parser.add_argument(
        "--tflops", type=float, required=True, help="assumed sustained speed of a GPU"
    )
    return parser.parse_args()


def project(scans: int, figures: Mapping[str, Any], config: Settings, tflops: float) -> Projection:
    """The cost of a cohort of `scans` scans, by the measurements in `figures`.

    Each fold trains on the nodules of all other folds, so all folds together use those of
    `folds.number` - 1 cohorts. tflops: sustained 10^12 operations per second of a GPU.
    """
    folds = config.folds.number
    evaluated = config.train.evaluate
    crops = crops_by_branches(scans * figures["nodules_per_scan"], config)
    step, prediction = figures["crop"], figures["prediction"]
    predictions = scans * len(evaluated)
    rate = tflops * 1000 * HOUR
    kept, tables = figures["kept"], figures["tables"]
    stages = folds * len(config.train.stages)
    return Projection(
        scans=scans,
        jobs=len(figures["scan"]) * scans + stages + folds * len(evaluated),
        preparing=scans * sum(rule["cpu_s"] for rule in figures["scan"].values()) / HOUR,
        crops=sum(crops.values()),
        training=sum(number * step[name]["cpu_s"] for name, number in crops.items()) / HOUR,
        training_gpu=sum(number * step[name]["gflop"] for name, number in crops.items()) / rate,
        predicting=predictions * prediction["cpu_s"] / HOUR,
        predicting_gpu=predictions * prediction["gflop"] / rate,
        gathering=scans * (tables["cpu_s"] + len(evaluated) * tables["stage_cpu_s"]) / HOUR,
        gigabytes=(scans * kept["scan_mb"] + stages * kept["stage_mb"]) / 1000,
        files=scans * kept["scan_files"] + stages * kept["stage_files"],
    )


def crops_by_branches(nodules: float, config: Settings) -> dict[str, float]:
    """Training crops of all folds and stages, by the last branch of their stage."""
    others = config.folds.number - 1
    crops: dict[str, float] = {}
    for stage in config.train.stages.values():
        epoch = nodules * (1 + config.augment.random_crops)
        last = stage.branches[-1]
        crops[last] = crops.get(last, 0) + others * stage.epochs * epoch
    return crops


def row(costs: Projection) -> str:
    """One line of the table, to three significant figures; counts in full."""
    cells = [
        f"{value:,}" if isinstance(value, int) else rounded(value) for value in vars(costs).values()
    ]
    return f"| {' | '.join(cells)} |"


def rounded(value: float) -> str:
    """Three significant figures: 0.123, 12.3, 12,300."""
    return f"{float(f'{value:.3g}'):,.10g}"


if __name__ == "__main__":
    main()
