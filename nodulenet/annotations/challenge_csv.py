"""CSV tables in the LUNA16 challenge's formats: their columns, and one reader with its checks."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.files import InputError, opening, reason_of, require_columns
from nodulenet.numerals import COUNT, FOREIGN, number_or_nan

DAMAGED = (ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
DIAMETER = "diameter_mm"
POSITION = ("coordX", "coordY", "coordZ")
FINDING_COLUMNS = ("seriesuid", *POSITION, DIAMETER)
MARK_COLUMNS = ("seriesuid", *POSITION, "probability")


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


def read_cells(path: Path, columns: Sequence[str] = (), delimiter: str = ",") -> pd.DataFrame:
    """Read a CSV with a header, all cells as stripped text; the index holds the line numbers.

    The first of `columns` names the series. The file may be compressed: .gz, .bz2, .xz or .zip.
    Raises `InputError` naming file and line if a column of `columns` is missing or any column
    occurs twice, or if a row has too many or too few cells or no series.
    """
    rows = list(read_lines(path, delimiter))
    if not rows:
        raise InputError(f"{path}: is empty")
    (_, head), *body = rows
    missing = [name for name in columns if name not in head]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}{_separator(head, delimiter)}")
    if doubled := [name for name in head if head.count(name) > 1]:
        raise InputError(f"{path}: column {doubled[0]} is there twice")
    for line, row in body:
        if len(row) != len(head):
            raise InputError(f"{path}: line {line} has {len(row)} cells, not {len(head)}")
    lines, cells = [line for line, _ in body], [row for _, row in body]
    table = pd.DataFrame(cells, index=pd.Index(lines, dtype=int), columns=head, dtype=str)
    for name in columns[:1]:
        for line in table.index[table[name] == ""][:1]:
            raise InputError(f"{path}: line {line}: {name} is empty")
    return table


def read_lines(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of every row that is not blank. Raises `InputError`."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > 1 or any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not CSV: {error}") from error


def read_text(path: Path) -> str:
    """The text (UTF-8) of a file, decompressed by its suffix. Raises `InputError`."""
    suffix = path.suffix.lower()
    if suffix in (".zst", ".tar", ".tgz", ".7z"):
        raise InputError(f"{path}: {suffix} is not supported: decompress it, or compress it as .gz")
    unpack = {
        ".gz": gzip.decompress,
        ".bz2": bz2.decompress,
        ".xz": lzma.decompress,
        ".zip": _only_member,
    }.get(suffix, bytes)
    with opening(path):
        packed = path.read_bytes()
    try:
        return unpack(packed).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a table in CSV: {error}") from error
    except (OSError, *DAMAGED) as error:
        fault = f"{path}: damaged, or not a {suffix} file: {reason_of(error)}"
        raise InputError(fault) from error


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


def _only_member(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"holds {len(names)} files, not one")
        return archive.read(names[0])


def _separator(head: Sequence[str], delimiter: str) -> str:
    """A hint if the header seems to be separated by another character."""
    other = next((sign for sign in (";", "\t", ",") if sign in head[0] and sign != delimiter), "")
    names = {";": "semicolons", "\t": "tabs", ",": "commas"}
    return f": its cells are separated by {names[other]}" if other else ""
