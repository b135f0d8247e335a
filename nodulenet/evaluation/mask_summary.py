"""Means of the scores of masks: of the nodules found and of all, and among the readers."""

from typing import Any

import pandas as pd

from nodulenet.evaluation.mask_scores import SCORES
from nodulenet.evaluation.reader_pairs import CONSENSUS
from nodulenet.evaluation.segmentation import Segmentation

OVERLAPS = ("dice", "iou")
DISTANCES = ("surface_mean_mm", "surface_p95_mm")
ABSOLUTE = "absolute_volume_error_relative"


def summarize_masks(table: pd.DataFrame) -> dict[str, Any]:
    """Means over the rows: `{score}_all` with missed nodules as 0, `{score}_found` without them.

    table: `SCORES` and found. Beside the scores the mean size of the relative volume error.
    Distances are of the found nodules only, since a missed one has none. Undefined values are
    left out of a mean; it is None where none is left.
    """
    table = _with_absolute(table)
    found = table[table["found"] == 1]
    content: dict[str, Any] = {"nodules": len(table), "found": len(found)}
    for part, rows in (("all", table), ("found", found)):
        for score in (*SCORES, ABSOLUTE):
            if part == "found" or score not in DISTANCES:
                content[f"{score}_{part}"] = _mean(rows[score])
    return content


def summarize_segmentation(segmentation: Segmentation) -> dict[str, Any]:
    """Means over all nodules, by fold under `folds`, against single readers under `readers`."""
    table = segmentation.nodules
    folds = {str(fold): summarize_masks(rows) for fold, rows in table.groupby("fold")}
    readers = summarize_readers(segmentation.readers)
    return summarize_masks(table) | {"folds": folds, "readers": readers}


def summarize_readers(table: pd.DataFrame) -> dict[str, Any]:
    """As `summarize_masks`, over the rows of readers.csv: first the mean over the readers of each
    nodule, then over the nodules. Also the number of readers' masks.
    """
    return {"masks": len(table)} | summarize_masks(mean_by_nodule(table))


def summarize_pairs(table: pd.DataFrame) -> dict[str, Any]:
    """Means over the rows of reader_pairs.csv: `readers` one against another (the human bar) and
    each against the `consensus`; first over the pairs of each nodule, then over the nodules.
    Volume errors are of the latter alone: of two readers neither is the reference.
    """
    alone = table["against"] == CONSENSUS
    content: dict[str, Any] = {}
    for name, rows, scores in (
        ("readers", table[~alone], OVERLAPS + DISTANCES),
        ("consensus", table[alone], (*SCORES, ABSOLUTE)),
    ):
        means = mean_by_nodule(rows)
        content[name] = {"nodules": len(means), "pairs": len(rows)}
        content[name] |= {score: _mean(means[score]) for score in scores}
    return content


def mean_by_nodule(table: pd.DataFrame) -> pd.DataFrame:
    """One row a nodule: the mean of each number over its rows, so that each nodule counts once."""
    table = _with_absolute(table)
    columns = [name for name in (*SCORES, ABSOLUTE, "found") if name in table]
    return table.groupby(["series_uid", "label"], sort=False)[columns].mean().reset_index()


def _with_absolute(table: pd.DataFrame) -> pd.DataFrame:
    if ABSOLUTE in table:
        return table
    return table.assign(**{ABSOLUTE: table["volume_error_relative"].abs()})


def _mean(values: pd.Series) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)
