"""Means of the scores of masks, of the nodules found and of all."""

from typing import Any

import pandas as pd

from nodulenet.evaluation.mask_scores import SCORES

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
                mean = rows[score].mean()
                content[f"{score}_{part}"] = None if pd.isna(mean) else float(mean)
    return content


def summarize_readers(table: pd.DataFrame) -> dict[str, Any]:
    """As `summarize_masks`, over the rows of readers.csv: first the mean over the readers of each
    nodule, then over the nodules. Also the number of readers' masks.
    """
    return {"masks": len(table)} | summarize_masks(mean_by_nodule(table))


def mean_by_nodule(table: pd.DataFrame) -> pd.DataFrame:
    """One row a nodule: the mean of each number over its rows, so that each nodule counts once."""
    table = _with_absolute(table)
    columns = [name for name in (*SCORES, ABSOLUTE, "found") if name in table]
    return table.groupby(["series_uid", "label"], sort=False)[columns].mean().reset_index()


def _with_absolute(table: pd.DataFrame) -> pd.DataFrame:
    if ABSOLUTE in table:
        return table
    return table.assign(**{ABSOLUTE: table["volume_error_relative"].abs()})
