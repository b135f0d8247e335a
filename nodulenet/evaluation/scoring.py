"""One result set scored against one truth, whole and by fold, and the tables of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.evaluation.bootstrap import bootstrap
from nodulenet.evaluation.findings import false_positive_table, nodule_table
from nodulenet.evaluation.froc import Froc, froc
from nodulenet.evaluation.stamp import Stamp, stamp_of, stamped
from nodulenet.evaluation.summary import froc_rows, summarize
from nodulenet.evaluation.truth import Truth, part_of, within
from nodulenet.files import replacing


@dataclass(frozen=True, eq=False)
class Scored:
    """A result set with its FROC over one truth; marks: its rows in the truth's scans.

    summary: plain values for froc.json, each fold's under `folds` where the truth has folds.
    """

    name: str
    truth: Truth
    marks: pd.DataFrame
    froc: Froc
    summary: dict[str, Any]


def score(name: str, truth: Truth, marks: pd.DataFrame, settings: Mapping[str, Any]) -> Scored:
    """Score the marks in the truth's scans; `settings`: readout and bootstrap of the config.

    Raises `InputError` as `match_marks`.
    """
    marks = within(marks, truth.scans)
    result, summary = _score(truth, marks, settings)
    if truth.folds is not None:
        summary["folds"] = {}
        for fold in sorted({truth.folds[scan] for scan in truth.scans}):
            scans = [scan for scan in truth.scans if truth.folds[scan] == fold]
            part = part_of(truth, scans, truth.denominator)
            summary["folds"][str(fold)] = _score(part, within(marks, scans), settings)[1]
    return Scored(name, truth, marks, result, summary)


def stamp_scored(scored: Scored, origin: Mapping[str, Any]) -> Stamp:
    """The stamp of one result set; `origin`: protocol, consensus, level and config."""
    return stamp_of(origin, len(scored.truth.scans), len(scored.truth.nodules))


def write_scored(sets: Sequence[Scored], origin: Mapping[str, Any], output: Path) -> None:
    """Write froc.csv, nodules.csv and false_positives.csv into the folder `output`."""
    makers = {
        "froc.csv": _froc_table,
        "nodules.csv": lambda one: nodule_table(one.truth, one.marks, one.froc),
        "false_positives.csv": lambda one: false_positive_table(one.truth, one.marks, one.froc),
    }
    for name, make in makers.items():
        tables = []
        for one in sets:
            table = make(one)
            table.insert(0, "denominator", one.truth.denominator)
            table.insert(0, "set", one.name)
            tables.append(stamped(table, stamp_scored(one, origin)))
        write_table(pd.concat(tables, ignore_index=True), output / name)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV with nine digits, which tell any two numbers of float32 apart."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g")


def _score(
    truth: Truth, marks: pd.DataFrame, settings: Mapping[str, Any]
) -> tuple[Froc, dict[str, Any]]:
    result = froc(truth.nodules, truth.excluded, marks, truth.scans, settings["readout"])
    return result, summarize(result, bootstrap(result, settings["bootstrap"]))


def _froc_table(scored: Scored) -> pd.DataFrame:
    summary = scored.summary
    table = pd.DataFrame(froc_rows({"pooled": summary} | summary.get("folds", {})))
    table.insert(1, "readout", scored.froc.readout)
    return table
