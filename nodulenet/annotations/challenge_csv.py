"""CSV tables in the LUNA16 challenge's formats: their columns, numbers and checks."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.files import InputError, require_columns
from nodulenet.numerals import COUNT, FOREIGN, number_or_nan
from nodulenet.text_tables import read_rows

DIAMETER = "diameter_mm"
POSITION = ("coordX", "coordY", "coordZ")
BOX_SIDES = ("width_mm", "height_mm", "depth_mm")
"""Optional columns of a table of nodules: the sides of a nodule's box along x, y and z."""
FINDING_COLUMNS = ("seriesuid", *POSITION, DIAMETER)
MARK_COLUMNS = ("seriesuid", *POSITION, "probability")
UNKNOWN_DIAMETER_MM = 10.0
"""The size that stands for an unknown one (a negative diameter), as in the challenge."""
ROUNDED_MM = 0.01
"""By which rounding may part a nodule's diameter from the largest side of its box."""


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV whose first column of `columns` is text and the others finite numbers.

    Other columns whose cells are all numbers or empty become numbers, NaN for empty ones. Raises
    `InputError` naming the file and the fault.
    """
    table = with_numbers(read_cells(path, columns), columns[1:], path).reset_index(drop=True)
    others = table.columns.difference(list(columns))
    return table.assign(**{name: _numbers_or_text(table[name]) for name in others})


def parse_together(files: Sequence[bytes], columns: Sequence[str]) -> pd.DataFrame | None:
    """The rows of CSV files with one header, in their order, as one table; fast.

    For files that this package wrote: `read_table` takes minutes for a million marks, and for ten
    thousand small tables. The first of `columns` is text, the others finite numbers. None if
    anything is wrong (another header, a truncated row, an empty, quoted or surplus cell): then
    `read_table` finds the line.
    """
    heads = {content[: content.find(b"\n") + 1] for content in files}
    head = heads.pop() if heads else b""
    if heads or not head or not all(content.endswith(b"\n") for content in files):
        return None
    body = b"".join(content[len(head) :] for content in files)
    lines = body.count(b"\n")
    if b'"' in body or body.count(b",") != lines * head.count(b","):
        return None
    try:
        table = pd.read_csv(io.BytesIO(head + body), dtype={columns[0]: str})
        check_numbers(table, columns, "table")
    except (ValueError, InputError):
        return None
    return table if len(table) == lines and table[columns[0]].notna().all() else None


def check_numbers(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise `InputError` if a column is missing or has a number that is not finite.

    The first column is text (a series), the others numbers.
    """
    require_columns(table, columns, name)
    for column in columns[1:]:
        numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if wrong.size:
            value = table[column].iloc[wrong[0]]
            raise InputError(f"{name}: row {wrong[0] + 1}: {column} is no finite number: {value}")


def read_cells(path: Path | str, columns: Sequence[str] = (), delimiter: str = ",") -> pd.DataFrame:
    """Read a CSV as `read_rows` does, all cells as text; the index holds the line numbers.

    Raises `InputError` also for a row without a value in the first of `columns`.
    """
    head, body = read_rows(path, columns, delimiter)
    lines, cells = [line for line, _ in body], [row for _, row in body]
    table = pd.DataFrame(cells, index=pd.Index(lines, dtype=int), columns=head, dtype=str)
    for name in columns[:1]:
        for line in table.index[table[name] == ""][:1]:
            raise InputError(f"{path}: line {line}: {name} is empty")
    return table


def with_numbers(table: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    """The table of `read_cells` with finite numbers in place of the text of `columns`.

    Raises `InputError` naming file and line.
    """
    numbers = {name: _numbers(table[name], path) for name in columns}
    return table.assign(**numbers)


def check_nodules(table: pd.DataFrame, path: Path, doubled: bool = True) -> None:
    """Raise `InputError` naming the line of a nodule of diameter 0, which no mark could hit.

    And, if `doubled`, of one at the position of an earlier one of its series, which would count
    twice. table: FINDING_COLUMNS; the index holds the lines.
    """
    for line in table.index[table[DIAMETER] == 0][:1]:
        raise InputError(f"{path}: line {line}: {DIAMETER} is 0; negative means unknown")
    place = list(FINDING_COLUMNS[:4])
    if not doubled:
        return
    for line in table.index[table.duplicated(place)][:1]:
        same = table[(table[place] == table.loc[line, place]).all(axis=1)]
        raise InputError(f"{path}: lines {same.index[0]} and {line} are the same nodule")


def with_boxes(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table of `read_cells` with numbers in BOX_SIDES, NaN in all three of a row without a box.

    diameter_mm must be numbers. Raises `InputError` naming file and line: some but not all of the
    columns or of a row's cells, a side of 0 or less, a largest side that is not the diameter.
    """
    names = list(BOX_SIDES)
    found = [name for name in names if name in table]
    if not found:
        return table.assign(**dict.fromkeys(names, np.nan))
    if len(found) < len(names):
        missing = ", ".join(name for name in names if name not in found)
        raise InputError(f"{path}: has the column {found[0]}, but no column {missing}")
    empty = table[names] == ""
    for line in table.index[empty.any(axis=1) & ~empty.all(axis=1)][:1]:
        name = next(name for name in names if empty.loc[line, name])
        raise InputError(f"{path}: line {line}: {name} is empty: a box has three sides, or none")
    boxed = with_numbers(table[~empty.all(axis=1)], names, path)
    sides = boxed[names].astype(float)
    for line in boxed.index[(sides <= 0).any(axis=1)][:1]:
        name = next(name for name in names if sides.loc[line, name] <= 0)
        raise InputError(f"{path}: line {line}: {name} is {sides.loc[line, name]:g}, not above 0")
    largest = sides.max(axis=1)
    for line in boxed.index[(largest - boxed[DIAMETER]).abs() > ROUNDED_MM][:1]:
        raise InputError(
            f"{path}: line {line}: {DIAMETER} is {boxed.loc[line, DIAMETER]:g}, but the largest"
            f" side of its box is {largest[line]:g}"
        )
    return table.assign(**{name: sides[name] for name in names})


def to_numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """The numbers (N,) of many texts, NaN for each that `number_or_nan` refuses."""
    if not FOREIGN.search("".join(texts)):
        try:
            numbers = np.array(texts, object).astype(float)
            return np.where(np.isfinite(numbers), numbers, np.nan)
        except ValueError:
            pass  # one of them is not a number
    return np.array([number_or_nan(text) for text in texts], float)


def _numbers(cells: pd.Series, path: Path) -> NDArray[np.float64]:
    numbers = to_numbers(cells.tolist())
    for wrong in np.flatnonzero(np.isnan(numbers))[:1]:
        where = f"{path}: line {cells.index[wrong]}"
        raise InputError(f"{where}: {cells.name} {cells.iloc[wrong]!r} is not a number")
    return numbers


def _numbers_or_text(cells: pd.Series) -> pd.Series:
    """The numbers of a column if every cell is one or empty, else the cells unchanged."""
    numbers = to_numbers(cells.tolist())
    empty = cells == ""
    if (np.isnan(numbers) & ~empty).any():
        return cells
    whole = not empty.any() and cells.str.fullmatch(COUNT).all()
    return pd.Series(numbers.astype(np.int64) if whole else numbers, cells.index)
