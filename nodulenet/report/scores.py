"""Stages compared, masks, folds, and what the jobs took, as tables."""

from collections.abc import Mapping

import pandas as pd

from nodulenet.evaluation.readers import CONSENSUS
from nodulenet.evaluation.results import FrocFile
from nodulenet.report.tables import NONE, TextTable, decimals, with_interval

MASK_COLUMNS = {
    "Dice": "dice",
    "IoU": "iou",
    "surface, mean mm": "surface_mean_mm",
    "surface, p95 mm": "surface_p95_mm",
    "volume error": "volume_error_relative",
}
AVERAGED = "Means; surface distances and volume errors are of the nodules found"


def ablation_table(ablation: pd.DataFrame) -> TextTable:
    """The stages of ablation.csv with CPM, paired difference and Dice."""
    rows = []
    for row in ablation.to_dict("records"):
        cpm, gain = (
            with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], sign=name != "cpm")
            for name in ("cpm", "difference")
        )
        dice = (decimals(row[f"dice_{part}"]) for part in ("found", "all"))
        rows.append((str(row["stage"]), str(row["trained"]), cpm, gain, *dice))
    less = f"less {ablation['reference'].iloc[0]}, paired"
    heads = ("stage", "trained through", "CPM", less, "Dice, found", "Dice, all")
    return TextTable("The evaluated stages, over the same scans and nodules", heads, rows, labels=2)


def segmentation_table(
    frocs: Mapping[str, FrocFile], readers: Mapping[str, Mapping[str, float]]
) -> TextTable | None:
    """Scores of the masks of each stage that has them, and of the readers among themselves; None
    where no stage has masks.
    """
    rows = []
    for stage, froc in frocs.items():
        held = froc.segmentation
        if held:
            found = (decimals(held[f"{name}_found"]) for name in MASK_COLUMNS.values())
            nodules = f"{held['found']} of {held['nodules']}"
            rows.append((f"{stage}, nodules found", nodules, *found))
            whole = (decimals(held.get(f"{name}_all")) for name in ("dice", "iou"))
            missed_as_0 = f"{stage}, missed as 0"
            rows.append((missed_as_0, str(held["nodules"]), *whole, NONE, NONE, NONE))
            single = held["readers"]
            means = (decimals(single[f"{name}_found"]) for name in MASK_COLUMNS.values())
            rows.append((f"{stage} against single readers", str(single["found"]), *means))
    if not rows:
        return None
    for name, what in (
        ("readers", "reader against reader"),
        (CONSENSUS, "reader against consensus"),
    ):
        own = readers[name]
        means = (decimals(own.get(column)) for column in MASK_COLUMNS.values())
        rows.append((what, str(own["nodules"]), *means))
    return TextTable(AVERAGED, ("masks", "nodules", *MASK_COLUMNS), rows)


def fold_table(frocs: Mapping[str, FrocFile]) -> TextTable:
    """The CPM of every stage on each fold by itself, and the Dice of the stages with masks."""
    parts = {stage: froc.headline.folds or {} for stage, froc in frocs.items()}
    scored = {stage: froc.segmentation for stage, froc in frocs.items() if froc.segmentation}
    rows = []
    for fold, first in next(iter(parts.values())).items():
        scores = (with_interval(part[fold].cpm, *part[fold].interval) for part in parts.values())
        masks = (held["folds"].get(fold, {}) for held in scored.values())
        dice = (decimals(means.get("dice_found")) for means in masks)
        rows.append((fold, str(first.scans), str(first.nodules), *scores, *dice))
    stages = [*(f"CPM {stage}" for stage in parts), *(f"Dice {stage}" for stage in scored)]
    heads = ("fold", "scans", "nodules", *stages)
    return TextTable("Each fold's scans by themselves; Dice of the nodules found", heads, rows)


def timing_table(timings: pd.DataFrame) -> TextTable:
    """Time and peak memory by rule, the longest first; timings: as `read_timings`."""
    sums = timings.groupby("rule").agg(
        jobs=("rule", "size"),
        seconds=("seconds", "sum"),
        cpu=("cpu_seconds", "sum"),
        peak=("peak_mb", "max"),
    )
    sums = sums.sort_values("seconds", ascending=False)
    times = timings[["seconds", "cpu_seconds"]].sum()
    whole = ("all", len(timings), *times, timings["peak_mb"].max())
    rows = [
        (str(rule), str(jobs), decimals(seconds, 1), decimals(cpu, 1), decimals(peak, 0))
        for rule, jobs, seconds, cpu, peak in [*sums.itertuples(name=None), whole]
    ]
    heads = ("rule", "jobs", "wall, s", "CPU, s", "peak of a job, MiB")
    return TextTable("Sums over the jobs of a rule, each job's last run", heads, rows)
