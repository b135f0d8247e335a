"""What the evaluation of a cohort reads: its scans, their findings and a stage's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.cohort.folds import read_folds
from nodulenet.cohort.manifest import read_manifest
from nodulenet.evaluation.luna16 import read_table
from nodulenet.evaluation.own_tables import parse_together
from nodulenet.evaluation.tables import (
    MARK_COLUMNS,
    POSITION,
    check_columns,
    scan_positions,
)
from nodulenet.files import InputError, own_artefact
from nodulenet.imaging.store import open_scan

FINDING_COLUMNS = ("series_uid", "label", *POSITION, "diameter_mm")
PREDICTION_COLUMNS = (*MARK_COLUMNS, "ncs_probability")
DFPS_COLUMNS = ("seriesuid", "dfps_coordX", "dfps_coordY", "dfps_coordZ", "dfps_probability")


@dataclass(frozen=True)
class ScoredScan:
    """A scan of the cohort: its fold, its number of consensus nodules and its files."""

    series_uid: str
    fold: int
    nodules: int
    findings: Path
    volume: Path
    record: Path
    mask: Path
    outlines: Path


def read_cohort(manifest: Path, folds: Path) -> list[ScoredScan]:
    """The scans of folds.tsv in its order.

    Raises `InputError` when it does not name the same scans as the manifest's `ok` ones.
    """
    rows = read_manifest(manifest)
    rows = rows[rows["status"] == "ok"].set_index("series_uid")
    fold_of = read_folds(folds).set_index("series_uid")["fold"]
    for lacking, scans in ((manifest, fold_of.index), (folds, rows.index)):
        other = rows.index if lacking == manifest else fold_of.index
        unknown = scans.difference(other)
        if len(unknown):
            raise InputError(f"{lacking}: lacks scan {unknown[0]}")
    columns = ("n_nodules", "findings", "volume", "record", "mask", "nodules")
    values = zip(*(rows.loc[fold_of.index, column] for column in columns), strict=True)
    return [
        ScoredScan(str(series), int(fold), count, *(manifest.parent / path for path in paths))
        for (series, fold), (count, *paths) in zip(fold_of.items(), values, strict=True)
    ]


def count_left_out(manifest: Path) -> int:
    """Number of bad scans of the manifest: `on_bad_scan: skip` left them out of every score."""
    return int((read_manifest(manifest)["status"] != "ok").sum())


def read_predictions(path: Path, cohort: Sequence[ScoredScan]) -> pd.DataFrame:
    """A stage's predictions with `fold` and `row`, the 1-based row within that fold.

    Raises `InputError` when the table names a scan that the cohort lacks.
    """
    with own_artefact(path):
        table = parse_together([path.read_bytes()], PREDICTION_COLUMNS)
        if table is None:
            table = read_table(path, PREDICTION_COLUMNS)
    position = scan_positions(table, [scan.series_uid for scan in cohort], str(path))
    table["fold"] = np.array([scan.fold for scan in cohort])[position]
    table["row"] = table.groupby("fold").cumcount() + 1
    return table


def read_findings(cohort: Sequence[ScoredScan]) -> dict[str, pd.DataFrame]:
    """The findings of each scan by its series, with LUNA16's column seriesuid.

    Raises `InputError` when a scan's nodules are not those that the manifest counts.
    """
    together = _read_together(cohort)
    if together is not None:
        return together
    return {scan.series_uid: _read_one(scan) for scan in cohort}


def _read_one(scan: ScoredScan) -> pd.DataFrame:
    with own_artefact(scan.findings):
        table = read_table(scan.findings, FINDING_COLUMNS)
        if "kind" not in table:
            raise InputError(f"{scan.findings}: no column kind")
        labels = table.loc[table["kind"] == "nodule", "label"].tolist()
        if labels != list(range(1, scan.nodules + 1)):
            shown = ", ".join(f"{label:g}" for label in labels)
            raise InputError(
                f"{scan.findings}: nodules [{shown}], the manifest counts {scan.nodules} nodule(s)"
            )
    return table.astype({"label": int}).rename(columns={"series_uid": "seriesuid"})


def _read_together(cohort: Sequence[ScoredScan]) -> dict[str, pd.DataFrame] | None:
    """What `_read_one` gives of all scans; None where anything is amiss, which that names."""
    try:
        files = [scan.findings.read_bytes() for scan in cohort]
    except OSError:
        return None
    table = parse_together(files, FINDING_COLUMNS)
    if table is None or "kind" not in table:
        return None
    ends = np.cumsum([content.count(b"\n") - 1 for content in files]).tolist()
    nodule = np.flatnonzero(table["kind"] == "nodule")
    counts = np.bincount(np.searchsorted(ends, nodule, side="right"), minlength=len(cohort))
    labels = [label for scan in cohort for label in range(1, scan.nodules + 1)]
    if counts.tolist() != [scan.nodules for scan in cohort]:
        return None
    if table["label"].iloc[nodule].tolist() != labels:
        return None
    table = table.astype({"label": int}).rename(columns={"series_uid": "seriesuid"})
    return {
        scan.series_uid: table.iloc[start:end].reset_index(drop=True)
        for scan, start, end in zip(cohort, [0, *ends[:-1]], ends, strict=True)
    }


def read_labels(scan: ScoredScan) -> NDArray:
    """The scan's instance labels (z, y, x), memory-mapped. Raises `InputError`."""
    return open_scan(scan.mask, scan.record)[0]


def result_sets(table: pd.DataFrame, name: str) -> dict[str, pd.DataFrame]:
    """The marks of each result set; `dfps` only where the stage has that branch."""
    sets = {"ensemble": table, "ncs": table.assign(probability=table["ncs_probability"])}
    if table.empty or table["dfps_probability"].notna().any():
        check_columns(table, (*DFPS_COLUMNS, "kept"), name)
        dfps = table[table["kept"] == 1].drop(columns=list(MARK_COLUMNS[1:]))
        sets["dfps"] = dfps.rename(columns=dict(zip(DFPS_COLUMNS, MARK_COLUMNS, strict=True)))
    return sets
