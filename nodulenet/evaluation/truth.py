"""What marks are scored against: a cohort's scans, their findings, and the truth of a protocol."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import (
    FINDING_COLUMNS,
    MARK_COLUMNS,
    POSITION,
    check_nodules,
    check_numbers,
    parse_together,
    read_cells,
    read_table,
    with_numbers,
)
from nodulenet.cohort.folds import read_folds
from nodulenet.cohort.manifest import read_manifest
from nodulenet.evaluation.tables import read_scan_list, scan_positions, within
from nodulenet.files import InputError, examples, own_artefact
from nodulenet.inference.table import read_predictions
from nodulenet.scan_table import NO_FOLD

LABELLED_COLUMNS = ("series_uid", "label", *POSITION, "diameter_mm")
DFPS_MARK_COLUMNS = tuple(f"dfps_{name}" for name in MARK_COLUMNS[1:])
NODULENET, LUNA16 = "nodulenet", "luna16"
WITH_NODULES, ALL = "with_nodules", "all"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredScan:
    """A scan of the cohort: its fold, its number of consensus nodules and its files.

    findings, outlines: nodules/{series}.csv and .npz; volume, mask and record: those of volumes/,
    the mask being the labels.
    """

    series_uid: str
    fold: int
    nodules: int
    findings: Path
    volume: Path
    record: Path
    mask: Path
    outlines: Path


def read_cohort(manifest: Path, folds: Path, *, untested: bool = False) -> list[ScoredScan]:
    """The scans of folds.tsv in its order; untested: also those in no fold.

    Raises `InputError` when it does not name the same scans as the manifest's `ok` ones.
    """
    rows = read_manifest(manifest)
    rows = rows[rows["status"] == "ok"].set_index("series_uid")
    fold_of = read_folds(folds).set_index("series_uid")["fold"]
    ok, split = rows.index, fold_of.index
    for lacking, unknown in ((manifest, split.difference(ok)), (folds, ok.difference(split))):
        if len(unknown):
            raise InputError(f"{lacking}: lacks scan {unknown[0]}")
    columns = ("n_nodules", "findings", "volume", "record", "mask", "nodules")
    values = zip(*(rows.loc[fold_of.index, column] for column in columns), strict=True)
    return [
        ScoredScan(str(series), int(fold), count, *(manifest.parent / path for path in paths))
        for (series, fold), (count, *paths) in zip(fold_of.items(), values, strict=True)
        if untested or fold != NO_FOLD
    ]


def read_stage(path: Path, cohort: Sequence[ScoredScan]) -> pd.DataFrame:
    """A stage's predictions with `fold` and `row`, the 1-based row within that fold.

    Raises `InputError` when the table names a scan that the cohort lacks.
    """
    table = read_predictions(path)
    position = scan_positions(table, [scan.series_uid for scan in cohort], str(path))
    table["fold"] = np.array([scan.fold for scan in cohort])[position]
    table["row"] = table.groupby("fold").cumcount() + 1
    return table


def result_sets(table: pd.DataFrame, name: str) -> dict[str, pd.DataFrame]:
    """The marks of each result set; `dfps` only where the stage has that branch."""
    sets = {"ensemble": table, "ncs": table.assign(probability=table["ncs_probability"])}
    if table.empty or table["dfps_probability"].notna().any():
        check_numbers(table, ("seriesuid", *DFPS_MARK_COLUMNS, "kept"), name)
        dfps = table[table["kept"] == 1].drop(columns=list(MARK_COLUMNS[1:]))
        names = dict(zip(DFPS_MARK_COLUMNS, MARK_COLUMNS[1:], strict=True))
        sets["dfps"] = dfps.rename(columns=names)
    return sets


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
        table = read_table(scan.findings, LABELLED_COLUMNS)
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
    """What `_read_one` returns of all scans; None where anything is wrong, which that one names."""
    try:
        files = [scan.findings.read_bytes() for scan in cohort]
    except OSError:
        return None
    table = parse_together(files, LABELLED_COLUMNS)
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


@dataclass(frozen=True, eq=False)
class Truth:
    """Scans, nodules and excluded findings that one FROC is scored over.

    denominator: `with_nodules` or `all`, of the cohort's or the list's scans. folds: scan -> fold,
    None where there are none. nodules, excluded: columns seriesuid, coordX, coordY, coordZ,
    diameter_mm; LPS mm; of these scans alone.
    """

    denominator: str
    scans: tuple[str, ...]
    folds: Mapping[str, int] | None
    nodules: pd.DataFrame
    excluded: pd.DataFrame

    def part(self, scans: Sequence[str], denominator: str) -> "Truth":
        """The truth of some of the scans."""
        nodules, excluded = within(self.nodules, scans), within(self.excluded, scans)
        return replace(
            self, denominator=denominator, scans=tuple(scans), nodules=nodules, excluded=excluded
        )


def consensus_truths(
    cohort: Sequence[ScoredScan], findings: Mapping[str, pd.DataFrame], name: str
) -> list[Truth]:
    """Own consensus nodules: over the scans that have one, and over all scans.

    Raises `InputError` naming the manifest `name` when no scan has a nodule.
    """
    positive = [scan.series_uid for scan in cohort if scan.nodules > 0]
    if not positive:
        raise InputError(f"{name}: no scan with a consensus nodule to evaluate on")
    folds = {scan.series_uid: scan.fold for scan in cohort}
    own = pd.concat([findings[scan] for scan in folds], ignore_index=True)
    nodule = own["kind"] == "nodule"
    whole = Truth(ALL, tuple(folds), folds, own[nodule], own[~nodule])
    return [whole.part(positive, WITH_NODULES), whole]


def read_luna16(annotations: Path, excluded: Path, scans: Path) -> Truth:
    """Read the challenge's three tables, each possibly compressed; there are no folds.

    annotations, excluded: CSV with header seriesuid, coordX, coordY, coordZ, diameter_mm; scans:
    one series per line without header. Raises `InputError` for another format, for a diameter of
    0, for a nodule listed twice (the challenge lists some excluded findings twice, which changes
    no score) and for series that the list of scans lacks.
    """
    listed = read_scan_list(scans)
    tables = []
    for path in (annotations, excluded):
        table = with_numbers(read_cells(path, FINDING_COLUMNS), FINDING_COLUMNS[1:], path)
        check_nodules(table, path, doubled=path == annotations)
        scan_positions(table, listed, str(path))
        tables.append(table.reset_index(drop=True))
    return Truth(ALL, tuple(listed), None, *tables)


def challenge_truth(
    cohort: Sequence[ScoredScan], challenge: Sequence[Path]
) -> tuple[Truth, dict[str, int]]:
    """The challenge's nodules and excluded findings in the scans that the cohort has of its list,
    and the numbers of scans: scored, listed, of the cohort and not listed.

    challenge: annotations, excluded findings and list of scans of LUNA16. Raises `InputError` for
    a fault of the files, and with examples where the list and the cohort have no scan in common.
    """
    official = read_luna16(*challenge)
    name = challenge[2]
    folds = {scan.series_uid: scan.fold for scan in cohort}
    scans = [scan for scan in folds if scan in set(official.scans)]
    if not scans:
        raise InputError(
            f"{name}: lists no scan of the cohort: it has {examples(official.scans)}, the cohort "
            f"{examples(list(folds))}"
        )
    listed, scored, others = len(official.scans), len(scans), len(folds) - len(scans)
    log.info("%s: %d of the %d listed scans are in the cohort and scored", name, scored, listed)
    if others:
        log.warning("%d scans of the cohort are not listed, not scored", others)
    counts = {"scans": scored, "listed": listed, "scans_not_listed": others}
    return replace(official, folds=folds).part(scans, ALL), counts


def read_truths(
    protocol: str,
    cohort: Sequence[ScoredScan],
    findings: Mapping[str, pd.DataFrame],
    manifest: Path,
    challenge: Sequence[Path] = (),
) -> tuple[list[Truth], dict[str, int]]:
    """What a protocol scores a cohort against, the headline first, and counts for froc.json.

    findings: series -> table of the own consensus; challenge: as for `challenge_truth`. Raises
    `InputError` for a fault of the files.
    """
    if protocol == NODULENET:
        truths = consensus_truths(cohort, findings, str(manifest))
        without = len(truths[1].scans) - len(truths[0].scans)
        log.info("%d scans without a nodule count only under `all`", without)
        return truths, {"scans_without_nodules": without}
    if len(challenge) != 3:
        raise InputError(f"froc.protocol is {protocol}, with {len(challenge)} of LUNA16's 3 files")
    truth, counts = challenge_truth(cohort, challenge)
    return [truth], counts
