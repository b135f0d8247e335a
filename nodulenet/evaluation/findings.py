"""What a researcher looks at next: every nodule with its best mark, and the false positives."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.evaluation.froc import RATES, Froc
from nodulenet.evaluation.tables import POSITION
from nodulenet.evaluation.truth import Truth

NODULE_COLUMNS = (
    *("seriesuid", "fold", "nodule", *POSITION, "diameter_mm", "found", "probability", "mark"),
    *(f"mark_{axis}" for axis in POSITION),
    *("distance_mm", "false_positives", "false_positives_per_scan", "nearest_mark_mm"),
)
POINTS = tuple(f"at_{rate:g}" for rate in RATES)
FALSE_COLUMNS = (
    *("seriesuid", "fold", "mark", *POSITION, "probability"),
    *("false_positives", "false_positives_per_scan", *POINTS),
    *("nearest_nodule", "nearest_nodule_mm"),
)


def nodule_table(truth: Truth, marks: pd.DataFrame, result: Froc) -> pd.DataFrame:
    """A row a nodule, in the truth's order, with the mark that found it: `NODULE_COLUMNS`.

    marks: the scored ones, with an index that counts the rows of their file from 0. The false
    positives are those at least as probable as the mark. What a missed nodule has not is missing.
    """
    events = result.outcomes
    found = events.best_mark >= 0
    table = truth.nodules[["seriesuid", *POSITION, "diameter_mm"]].reset_index(drop=True)
    table["nodule"] = _numbers(table)
    own = marks.iloc[events.best_mark[found]]
    rows = np.flatnonzero(found)
    table["found"], table["probability"] = found.astype(int), events.best
    table["mark"] = pd.Series(own.index.to_numpy() + 1, rows, dtype="Int64")
    for axis in POSITION:
        table[f"mark_{axis}"] = pd.Series(own[axis].to_numpy(float), rows, dtype=float)
    offset = table[[f"mark_{axis}" for axis in POSITION]].to_numpy() - _at(table)
    table["distance_mm"] = np.linalg.norm(offset, axis=1)
    count = _at_least(result, events.best[found])
    table["false_positives"] = pd.Series(count, rows, dtype="Int64")
    table["false_positives_per_scan"] = pd.Series(count / len(truth.scans), rows, dtype=float)
    table["nearest_mark_mm"] = _nearest(table, marks)[1]
    return _with_fold(table, truth)[list(NODULE_COLUMNS)]


def false_positive_table(truth: Truth, marks: pd.DataFrame, result: Froc) -> pd.DataFrame:
    """False positives down to the operating point at 8 a scan, most probable first.

    Columns `FALSE_COLUMNS`; `at_r` is 1 where the mark is above the operating point at r false
    positives a scan: where those at least as probable are at most r a scan, or, read at the next
    point of the curve, at most that point's rate. marks: as in `nodule_table`.
    """
    events = result.outcomes
    false = events.mark[~events.hit]
    own = marks.iloc[false]
    table = own[["seriesuid", *POSITION, "probability"]].reset_index(drop=True)
    table["mark"] = own.index.to_numpy() + 1
    count = _at_least(result, table["probability"].to_numpy(float))
    rate = count / len(truth.scans)
    table["false_positives"], table["false_positives_per_scan"] = count, rate
    for name, limit in zip(POINTS, operating_rates(result), strict=True):
        table[name] = (rate <= limit).astype(int)
    table = table[table[POINTS[-1]] == 1].reset_index(drop=True)
    nodules = truth.nodules.reset_index(drop=True)
    nearest, table["nearest_nodule_mm"] = _nearest(table, nodules)
    there = nearest >= 0
    number = _numbers(nodules).to_numpy()[nearest[there]]
    table["nearest_nodule"] = pd.Series(number, np.flatnonzero(there), dtype="Int64")
    return _with_fold(table, truth)[list(FALSE_COLUMNS)]


def operating_rates(result: Froc) -> NDArray[np.float64]:
    """False positives a scan (7,) down to which a mark is above each operating point."""
    if result.readout == "challenge":
        return RATES
    return result.rate[np.minimum(np.searchsorted(result.rate, RATES), len(result.rate) - 1)]


def _at_least(result: Froc, probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many false positives are at least as probable."""
    events = result.outcomes
    rising = events.probability[~events.hit][::-1]
    return len(rising) - np.searchsorted(rising, probability)


def _nearest(
    table: pd.DataFrame, others: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each row's point the nearest of `others` in its scan: position (-1: none) and mm (NaN)."""
    index = np.full(len(table), -1)
    distance = np.full(len(table), np.nan)
    places = others.groupby("seriesuid").indices
    at, to = _at(table), _at(others)
    for series, rows in table.groupby("seriesuid").indices.items():
        if series in places:
            there = places[series]
            apart = np.linalg.norm(at[rows][:, None] - to[there], axis=2)
            index[rows] = there[apart.argmin(axis=1)]
            distance[rows] = apart.min(axis=1)
    return index, distance


def _numbers(nodules: pd.DataFrame) -> pd.Series:
    """Number of each nodule in its scan, from 1."""
    return nodules.groupby("seriesuid").cumcount() + 1


def _at(table: pd.DataFrame) -> NDArray[np.float64]:
    return table[list(POSITION)].to_numpy(float)


def _with_fold(table: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """With the column `fold`, empty where the truth has no folds."""
    folds = [None if truth.folds is None else truth.folds[scan] for scan in table["seriesuid"]]
    return table.assign(fold=pd.array(folds, dtype="Int64"))
