"""CSV tables in the LUNA16 challenge's formats, and the nodules of such a table."""

import bz2
import csv
import gzip
import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations.records import ListedNodule, Reading
from nodulenet.files import InputError, reason_of, sha256
from nodulenet.numerals import FOREIGN, to_number

DAMAGED = (ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
DIAMETER = "diameter_mm"
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", DIAMETER)


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
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
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
    twice. table: COLUMNS; the index holds the lines.
    """
    for line in table.index[table[DIAMETER] == 0][:1]:
        raise InputError(f"{path}: line {line}: {DIAMETER} is 0; negative means unknown")
    place = list(COLUMNS[:4])
    if not doubled:
        return
    for line in table.index[table.duplicated(place)][:1]:
        same = table[(table[place] == table.loc[line, place]).all(axis=1)]
        raise InputError(f"{path}: lines {same.index[0]} and {line} are the same nodule")


def to_numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """The numbers (N,) of many texts, NaN for each that `nodulenet.numerals.to_number` refuses."""
    if not FOREIGN.search("".join(texts)):
        try:
            numbers = np.array(texts, object).astype(float)
            return np.where(np.isfinite(numbers), numbers, np.nan)
        except ValueError:
            pass  # one of them is not a number
    return np.array([_number(text) for text in texts], float)


def _numbers(cells: pd.Series, path: Path) -> NDArray[np.float64]:
    numbers = to_numbers(cells.tolist())
    for wrong in np.flatnonzero(np.isnan(numbers))[:1]:
        where = f"{path}: line {cells.index[wrong]}"
        raise InputError(f"{where}: {cells.name} {cells.iloc[wrong]!r} is not a number")
    return numbers


def _number(cell: str) -> float:
    try:
        return to_number(cell)
    except ValueError:
        return math.nan


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


def read_nodule_table(path: Path | str, series_uid: str) -> Reading:
    """The nodules of one series in the order of the table, as a reading without sessions.

    The table is a CSV with the columns seriesuid, coordX, coordY, coordZ (world mm, LPS) and
    diameter_mm (negative if unknown); others are ignored. A table without a row of the series gives
    a reading without nodules and with a flag.

    Raises `InputError` naming file and line for a malformed table and, in the rows of this series,
    for a cell that is not a plain number, a diameter of 0 or a nodule listed twice.
    """
    cells = read_cells(Path(path), COLUMNS)
    own = _checked(cells[cells["seriesuid"] == series_uid], Path(path))
    listed = tuple(
        ListedNodule((x, y, z), diameter, line)
        for line, x, y, z, diameter in own[list(COLUMNS[1:])].itertuples()
    )
    flags = () if listed else ("no row of this series in the table",)
    return Reading(series_uid, (), str(path), sha256(path), flags, listed)


def count_listed(path: Path | str) -> dict[str, int]:
    """Number of rows of every series in a table of nodules; all are checked as above."""
    table = _checked(read_cells(Path(path), COLUMNS), Path(path))
    return {str(uid): len(own) for uid, own in table.groupby("seriesuid", sort=False)}


def _checked(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    table = with_numbers(cells, COLUMNS[1:], path)
    check_nodules(table, path)
    return table
