"""The tables of LNDb: which findings are nodules, and the official folds."""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nodulenet.files import InputError
from nodulenet.layouts.common import plural
from nodulenet.layouts.tables import read_csv, without_doubles
from nodulenet.numerals import COUNT, number_or_nan
from nodulenet.text_tables import read_lines

ID = re.compile(r"(?:LNDb-)?0*([0-9]+)", re.I)
FOLD = re.compile(r"fold ?([0-9]+)", re.I)
MERGED, OWN, FOLDS = "trainNodules_gt.csv", "trainNodules.csv", "trainFolds.csv"
MERGED_COLUMNS = ("LNDbID", "RadID", "RadFindingID", "AgrLevel", "Nodule")
OWN_COLUMNS = ("LNDbID", "RadID", "FindingID", "Nodule")


class LndbFinding(NamedTuple):
    """One reader's finding: names of the scan and of his mask, and its label there."""

    scan: str
    mask: str
    label: int


class Findings(NamedTuple):
    """Whether each finding is a nodule; nodules of each scan; rows' scans; what is odd."""

    nodule: dict[LndbFinding, bool]
    nodules: dict[str, int]
    rows: pd.Series
    notes: list[str]


def read_lndb_findings(path: Path, own: Path | None) -> Findings:
    """The findings of `trainNodules_gt.csv`; own: `trainNodules.csv`.

    A finding is a nodule if it is merged into one and its own reader did not say that it is none.
    Raises `InputError` naming the line for a cell that is no number, lists of different lengths,
    and a finding of two rows of which one alone is a nodule.
    """
    table, notes = without_doubles(read_csv(path, MERGED_COLUMNS), path)
    nodule: dict[LndbFinding, bool] = {}
    lines: dict[LndbFinding, int] = {}
    nodules: dict[str, int] = defaultdict(int)
    scans, unclear = [], 0
    for line, scan_id, rads, labels, agreed, verdict in table.itertuples():
        where = f"{path}: line {line}"
        scan, is_nodule = scan_of(scan_id, where), yes_or_no(verdict, where)
        readers, numbers = listed(rads, where), listed(labels, where)
        if len(readers) != len(numbers):
            raise InputError(f"{where}: {len(readers)} RadID, but {len(numbers)} RadFindingID")
        for reader, number in zip(readers, numbers, strict=True):
            finding = LndbFinding(scan, name_of(scan[5:], str(reader)), number)
            if nodule.setdefault(finding, is_nodule) != is_nodule:
                what = f"finding {number} of {finding.mask}"
                raise InputError(
                    f"{where}: {what} is a nodule or none, unlike line {lines[finding]}"
                )
            lines.setdefault(finding, line)
        unclear += is_nodule and number_or_nan(agreed) != len(readers)
        nodules[scan] += is_nodule
        scans.append(scan)
    if own is None and unclear:
        what = f"{plural(unclear, 'nodule')} that a reader called none (AgrLevel)"
        notes.append(f"{path}: {what}: without {OWN} all its readers vote for it")
    if own is not None:
        notes += overrule(nodule, own)
    return Findings(nodule, dict(nodules), pd.Series(scans, dtype=str), notes)


def overrule(nodule: dict[LndbFinding, bool], path: Path) -> list[str]:
    """Unset the findings that their own reader called none, by `trainNodules.csv`; notes."""
    table, notes = without_doubles(read_csv(path, OWN_COLUMNS), path)
    count = 0
    for line, scan_id, reader, label, verdict in table.itertuples():
        where = f"{path}: line {line}"
        scan, (number,) = scan_of(scan_id, where), one(label, where)
        finding = LndbFinding(scan, name_of(scan[5:], str(*one(reader, where))), number)
        if not yes_or_no(verdict, where) and nodule.get(finding):
            nodule[finding] = False
            count += 1
    if count:
        what = f"{plural(count, 'finding')} of nodules that the reader himself called none"
        notes.append(f"{path}: {what}: no vote for these")
    return notes


def read_train_folds(path: Path) -> dict[str, int]:
    """Scan -> fold: from columns Fold0, Fold1, ... that list scans, or rows LNDbID, Fold.

    Raises `InputError` naming the line for a scan in two folds.
    """
    lines = list(read_lines(path))
    columns = [FOLD.fullmatch(cell) for cell in lines[0][1]] if lines else []
    if not any(columns):
        table = read_csv(path, ("LNDbID", "Fold"))
        pairs = [
            (line, scan, *one(fold, f"{path}: line {line}"))
            for line, scan, fold in table.itertuples()
        ]
    else:  # columns of different lengths: rows may be short
        pairs = [
            (line, cell, int(column[1]))
            for line, cells in lines[1:]
            for column, cell in zip(columns, cells, strict=False)
            if column and cell
        ]
    folds: dict[str, int] = {}
    for line, cell, fold in pairs:
        scan = scan_of(cell, f"{path}: line {line}")
        if folds.setdefault(scan, fold) != fold:
            raise InputError(f"{path}: line {line}: {scan} is in folds {folds[scan]} and {fold}")
    return folds


def scan_of(cell: str, where: str) -> str:
    """The name of a scan from its number, with or without leading zeros or the name's start."""
    if match := ID.fullmatch(cell):
        return name_of(match[1])
    raise InputError(f"{where}: LNDbID {cell!r} is not a number")


def listed(cell: str, where: str) -> list[int]:
    """The whole numbers of a cell: one, or a list such as `1,2` or `[1, 2]`."""
    parts = [part for part in re.split(r"[,;\s]+", cell.strip("[]() ")) if part]
    if not parts or not all(COUNT.fullmatch(part) for part in parts):
        raise InputError(f"{where}: {cell!r} is not a list of numbers")
    return [int(part) for part in parts]


def one(cell: str, where: str) -> tuple[int]:
    """The only whole number of a cell."""
    numbers = listed(cell, where)
    if len(numbers) > 1:
        raise InputError(f"{where}: {cell!r} is several numbers")
    return (numbers[0],)


def yes_or_no(cell: str, where: str) -> bool:
    """Whether a finding is a nodule: 1, or 0 for none."""
    if number_or_nan(cell) not in (0, 1):
        raise InputError(f"{where}: Nodule {cell!r} is neither 0 nor 1")
    return number_or_nan(cell) == 1


def name_of(scan: str, reader: str = "") -> str:
    """The name of a scan, or of a reader's mask of it, from their numbers."""
    return f"LNDb-{int(scan):04d}" + (f"_rad{int(reader)}" if reader else "")
