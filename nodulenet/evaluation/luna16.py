"""The tables of the LUNA16 challenge, and any in their formats."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nodulenet.evaluation.tables import (
    FINDING_COLUMNS,
    check_columns,
    check_scans,
    scan_positions,
)
from nodulenet.files import InputError

UNREADABLE = (OSError, ValueError, EOFError, zlib.error)


@dataclass(frozen=True, eq=False)
class Luna16:
    """A list of scans with its nodules and the findings that count neither way."""

    scans: tuple[str, ...]
    nodules: pd.DataFrame
    excluded: pd.DataFrame


def read_luna16(annotations: Path, excluded: Path, scans: Path) -> Luna16:
    """Read the three tables, each possibly compressed.

    annotations, excluded: CSV with header seriesuid, coordX, coordY, coordZ, diameter_mm; scans:
    one series a line without header. Raises `InputError` for a file that is not so, and for
    series that the list of scans lacks.
    """
    listed = read_scans(scans)
    nodules, others = (read_table(path, FINDING_COLUMNS) for path in (annotations, excluded))
    scan_positions(nodules, listed, str(annotations))
    scan_positions(others, listed, str(excluded))
    return Luna16(tuple(listed), nodules, others)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV whose first column of `columns` is text and the others finite numbers.

    Raises `InputError` naming the file and the fault.
    """
    try:
        table = pd.read_csv(path, dtype={columns[0]: str}, encoding="utf-8-sig")
    except UNREADABLE as error:
        raise InputError(f"{path}: {_reason(error)}") from error
    check_columns(table, columns, str(path))
    return table


def read_scans(path: Path) -> list[str]:
    """Read a list of series, one a line, no header. Raises `InputError`."""
    try:
        table = pd.read_csv(path, header=None, dtype=str, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        table = pd.DataFrame({0: []}, dtype=str)
    except UNREADABLE as error:
        raise InputError(f"{path}: {_reason(error)}") from error
    if table.shape[1] != 1:
        raise InputError(f"{path}: {table.shape[1]} columns in what should be a list of series")
    scans = [str(scan).strip() for scan in table[0]]
    if scans[:1] == ["seriesuid"]:
        raise InputError(f"{path}: line 1 is a header, a list of series has none")
    check_scans(scans, str(path))
    return scans


def _reason(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split())
