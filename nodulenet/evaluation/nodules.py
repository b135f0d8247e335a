"""Tables of nodules with their best marks, of false positives, and of scans."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.evaluation.froc import RATES, Froc
from nodulenet.evaluation.matching import Events, Outcomes
from nodulenet.evaluation.truth import Truth
from nodulenet.files import InputError, own_artefact

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
SCAN_COLUMNS = (
    *("seriesuid", "fold", "scan_nodules", "found", "false_positives"),
    *("found_at", "false_positives_at"),
)


def nodule_table(truth: Truth, marks: pd.DataFrame, outcomes: Outcomes) -> pd.DataFrame:
    """One row per nodule, in the truth's order, with the mark that found it: `NODULE_COLUMNS`.

    marks: the scored ones, with an index that counts the rows of their file from 0. The false
    positives are those at least as probable as the mark. Cells that do not apply to a missed nodule
    are empty.
    """
    found = outcomes.best_mark >= 0
    table = truth.nodules[["seriesuid", *POSITION, "diameter_mm"]].reset_index(drop=True)
    table["nodule"] = _numbers_in_scan(table)
    own = marks.iloc[outcomes.best_mark[found]]
    rows = np.flatnonzero(found)
    table["found"], table["probability"] = found.astype(int), outcomes.best
    table["mark"] = pd.Series(own.index.to_numpy() + 1, rows, dtype="Int64")
    for axis in POSITION:
        table[f"mark_{axis}"] = pd.Series(own[axis].to_numpy(float), rows, dtype=float)
    offset = table[[f"mark_{axis}" for axis in POSITION]].to_numpy() - _positions(table)
    table["distance_mm"] = np.linalg.norm(offset, axis=1)
    count = _at_least(outcomes.events, outcomes.best[found])
    table["false_positives"] = pd.Series(count, rows, dtype="Int64")
    table["false_positives_per_scan"] = pd.Series(count / len(truth.scans), rows, dtype=float)
    table["nearest_mark_mm"] = _nearest_in_scan(table, marks)[1]
    return _with_fold(table, truth)[list(NODULE_COLUMNS)]


def false_positive_table(
    truth: Truth, marks: pd.DataFrame, outcomes: Outcomes, result: Froc
) -> pd.DataFrame:
    """False positives down to the operating point at 8 per scan, most probable first.

    Columns `FALSE_COLUMNS`; `at_r` is 1 where the mark is above the operating point at r false
    positives per scan: where those at least as probable are at most r per scan or, read at the
    next point of the curve, at most that point's rate. marks: as in `nodule_table`.
    """
    false = outcomes.mark[~outcomes.events.hit]
    own = marks.iloc[false]
    table = own[["seriesuid", *POSITION, "probability"]].reset_index(drop=True)
    table["mark"] = own.index.to_numpy() + 1
    count = _at_least(outcomes.events, table["probability"].to_numpy(float))
    rate = count / len(truth.scans)
    table["false_positives"], table["false_positives_per_scan"] = count, rate
    for name, limit in zip(POINTS, operating_rates(result), strict=True):
        table[name] = (rate <= limit).astype(int)
    table = table[table[POINTS[-1]] == 1].reset_index(drop=True)
    nodules = truth.nodules.reset_index(drop=True)
    nearest, table["nearest_nodule_mm"] = _nearest_in_scan(table, nodules)
    there = nearest >= 0
    number = _numbers_in_scan(nodules).to_numpy()[nearest[there]]
    table["nearest_nodule"] = pd.Series(number, np.flatnonzero(there), dtype="Int64")
    return _with_fold(table, truth)[list(FALSE_COLUMNS)]


def scan_table(truth: Truth, events: Events) -> pd.DataFrame:
    """One row per scan, in the truth's order: `SCAN_COLUMNS`.

    found_at, false_positives_at: the probabilities at which its nodules are found and of its false
    positives, in descending order, separated by spaces. A FROC and its bootstrap need nothing else.
    """
    rows = []
    for position, scan in enumerate(truth.scans):
        own = events.scan == position
        parts = [events.probability[own & kind].tolist() for kind in (events.hit, ~events.hit)]
        texts = [" ".join(map(repr, part)) for part in parts]
        rows.append((scan, int(events.nodules[position]), *map(len, parts), *texts))
    table = pd.DataFrame(rows, columns=[name for name in SCAN_COLUMNS if name != "fold"])
    return _with_fold(table, truth)[list(SCAN_COLUMNS)]


def read_events(path: Path, name: str, denominator: str) -> tuple[list[str], Events]:
    """The scans and the events of a result set over a denominator, from scans.csv.

    Raises `CorruptArtefact` naming a file that is missing or damaged.
    """
    with own_artefact(path):
        text = dict.fromkeys(("seriesuid", "found_at", "false_positives_at"), str)
        table = pd.read_csv(path, dtype=text, keep_default_na=False)
        table = table[(table["set"] == name) & (table["denominator"] == denominator)]
        if table.empty:
            raise InputError(f"{path}: no row of the set {name} over the scans {denominator}")
        parts = [
            (float(value), scan, hit)
            for hit, column in ((True, "found_at"), (False, "false_positives_at"))
            for scan, cell in enumerate(table[column])
            for value in cell.split()
        ]
        probability = np.array([part[0] for part in parts], float)
        order = np.argsort(-probability, kind="stable")
        scan = np.array([part[1] for part in parts], np.int64)[order]
        hit = np.array([part[2] for part in parts], bool)[order]
        nodules = np.array(table["scan_nodules"], np.int64)
        events = Events(probability[order], scan, hit, nodules)
        if (events.found, events.false_positives) != tuple(
            table[["found", "false_positives"]].astype(int).sum()
        ):
            raise InputError(f"{path}: does not have as many probabilities as it counts")
    return table["seriesuid"].tolist(), events


def operating_rates(result: Froc) -> NDArray[np.float64]:
    """False positives per scan (7,) down to which a mark is above each operating point."""
    if result.readout == "challenge":
        return RATES
    return result.rate[np.minimum(np.searchsorted(result.rate, RATES), len(result.rate) - 1)]


def _at_least(events: Events, probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers of false positives that are at least as probable."""
    rising = events.probability[~events.hit][::-1]
    return len(rising) - np.searchsorted(rising, probability)


def _nearest_in_scan(
    table: pd.DataFrame, others: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest of `others` to each row in its scan: position (-1: none) and mm (NaN)."""
    index = np.full(len(table), -1)
    distance = np.full(len(table), np.nan)
    places = others.groupby("seriesuid").indices
    at, to = _positions(table), _positions(others)
    for series, rows in table.groupby("seriesuid").indices.items():
        if series in places:
            there = places[series]
            apart = np.linalg.norm(at[rows][:, None] - to[there], axis=2)
            index[rows] = there[apart.argmin(axis=1)]
            distance[rows] = apart.min(axis=1)
    return index, distance


def _numbers_in_scan(nodules: pd.DataFrame) -> pd.Series:
    """Number of each nodule in its scan, from 1."""
    return nodules.groupby("seriesuid").cumcount() + 1


def _positions(table: pd.DataFrame) -> NDArray[np.float64]:
    return table[list(POSITION)].to_numpy(float)


def _with_fold(table: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """With the column `fold`, empty where the truth has no folds."""
    folds = [None if truth.folds is None else truth.folds[scan] for scan in table["seriesuid"]]
    return table.assign(fold=pd.array(folds, dtype="Int64"))
