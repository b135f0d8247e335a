"""Checks on the tables of marks, nodules and scans that an evaluation compares."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nodulenet.files import InputError

POSITION = ("coordX", "coordY", "coordZ")
FINDING_COLUMNS = ("seriesuid", *POSITION, "diameter_mm")
MARK_COLUMNS = ("seriesuid", *POSITION, "probability")
EXAMPLES = 3


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
            f"{name}: scan listed twice: {_examples(index[index.duplicated()].tolist())}"
        )


def scan_positions(table: pd.DataFrame, scans: Sequence[str], name: str) -> np.ndarray:
    """Position of each row's scan in the list. Raises `InputError` for scans not in the list."""
    positions = pd.Index(scans).get_indexer(pd.Index(table["seriesuid"]))
    if (positions < 0).any():
        unknown = table["seriesuid"][positions < 0].unique().tolist()
        raise InputError(
            f"{name}: {len(unknown)} scan(s) not in the list of scans: {_examples(unknown)}"
        )
    return positions


def _examples(values: Sequence[str]) -> str:
    shown = ", ".join(str(value) for value in values[:EXAMPLES])
    return shown + (", ..." if len(values) > EXAMPLES else "")
