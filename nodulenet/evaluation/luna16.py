"""The tables of the LUNA16 challenge, and any in their formats."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import (
    check_nodules,
    read_cells,
    read_lines,
    to_numbers,
    with_numbers,
)
from nodulenet.evaluation.tables import FINDING_COLUMNS, check_scans, scan_positions
from nodulenet.files import InputError
from nodulenet.numerals import COUNT

HEADINGS = ("seriesuid", "seriesuids", "seriesinstanceuid", "series", "scan", "scans", "uid")


@dataclass(frozen=True, eq=False)
class Luna16:
    """A list of scans with its nodules and the findings that count neither way."""

    scans: tuple[str, ...]
    nodules: pd.DataFrame
    excluded: pd.DataFrame


def read_luna16(annotations: Path, excluded: Path, scans: Path) -> Luna16:
    """Read the three tables, each possibly compressed.

    annotations, excluded: CSV with header seriesuid, coordX, coordY, coordZ, diameter_mm; scans:
    one series a line without header. Raises `InputError` for a file that is not so, for a
    diameter of 0, for a nodule listed twice (the challenge's excluded findings are, here and
    there, which changes no score) and for series that the list of scans lacks.
    """
    listed = read_scans(scans)
    tables = []
    for path in (annotations, excluded):
        table = with_numbers(read_cells(path, FINDING_COLUMNS), FINDING_COLUMNS[1:], path)
        check_nodules(table, path, doubled=path == annotations)
        scan_positions(table, listed, str(path))
        tables.append(table.reset_index(drop=True))
    return Luna16(tuple(listed), *tables)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV whose first column of `columns` is text and the others finite numbers.

    A column beyond these is of numbers, NaN where empty, if all its cells are. Raises
    `InputError` naming the file and the fault.
    """
    table = with_numbers(read_cells(path, columns), columns[1:], path).reset_index(drop=True)
    others = table.columns.difference(list(columns))
    return table.assign(**{name: _numbers_or_text(table[name]) for name in others})


def _numbers_or_text(cells: pd.Series) -> pd.Series:
    """The numbers of a column where every cell is one or empty, else the cells as they are."""
    numbers = to_numbers(cells.tolist())
    empty = cells == ""
    if (np.isnan(numbers) & ~empty).any():
        return cells
    whole = not empty.any() and cells.str.fullmatch(COUNT).all()
    return pd.Series(numbers.astype(np.int64) if whole else numbers, cells.index)


def read_scans(path: Path) -> list[str]:
    """Read a list of series, one a line, no header. Raises `InputError`."""
    scans = []
    for line, cells in read_lines(path):
        if len(cells) != 1:
            raise InputError(
                f"{path}: line {line}: {len(cells)} columns in what should be a list of series"
            )
        scans += cells
    if scans and "".join(filter(str.isalnum, scans[0])).casefold() in HEADINGS:
        raise InputError(f"{path}: line 1 is a header ({scans[0]}), a list of series has none")
    check_scans(scans, str(path))
    return scans
