"""Checks on the tables of marks, nodules and scans that an evaluation compares."""

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from nodulenet.files import EXAMPLES, InputError, examples

POSITION = ("coordX", "coordY", "coordZ")
FINDING_COLUMNS = ("seriesuid", *POSITION, "diameter_mm")
MARK_COLUMNS = ("seriesuid", *POSITION, "probability")


def check_columns(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise `InputError` when a column is missing or a number of it is not finite.

    The first column is text (a series), the others numbers.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{name}: no column {', '.join(missing)}")
    for column in columns[1:]:
        numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if wrong.size:
            value = table[column].iloc[wrong[0]]
            raise InputError(f"{name}: row {wrong[0] + 1}: {column} is no finite number: {value}")


def check_scans(scans: Sequence[str], name: str) -> None:
    """Raise `InputError` when the list of scans is empty or names one twice."""
    if not scans:
        raise InputError(f"{name}: no scan")
    index = pd.Index(scans)
    if index.has_duplicates:
        raise InputError(
            f"{name}: scan listed twice: {examples(index[index.duplicated()].tolist())}"
        )


def scan_positions(table: pd.DataFrame, scans: Sequence[str], name: str) -> np.ndarray:
    """Position of each row's scan in the list.

    Raises `InputError` for scans not in the list, with the listed ones that look most like them.
    """
    positions = pd.Index(scans).get_indexer(pd.Index(table["seriesuid"]))
    if (positions < 0).any():
        unknown = table["seriesuid"][positions < 0].unique().tolist()
        close = [get_close_matches(str(scan), scans, 1, 0) for scan in unknown[:EXAMPLES]]
        listed = list(dict.fromkeys(name for names in close for name in names))
        raise InputError(
            f"{name}: {len(unknown)} scan(s) not in the list of scans: {examples(unknown)}; "
            f"the list has {examples(listed, len(scans))}"
        )
    return positions


def check_marked(marks: pd.DataFrame, scans: Sequence[str], name: str) -> None:
    """Raise `InputError` when a scan of the list has no mark."""
    missing = unmarked(marks, scans)
    if missing:
        raise InputError(f"{name}: {len(missing)} scan(s) have no mark: {examples(missing)}")


def unmarked(marks: pd.DataFrame, scans: Sequence[str]) -> list[str]:
    """Scans of the list without a mark."""
    marked = set(marks["seriesuid"])
    return [scan for scan in scans if scan not in marked]
