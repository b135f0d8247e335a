"""Tables in text files, plain or compressed: one reader with its checks.

The rules of the workflow use this module too, so importing it must be fast.
"""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from nodulenet.files import InputError, opening, reason_of

DAMAGED = (ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas"}


def read_rows(
    path: Path | str, columns: Sequence[str] = (), delimiter: str = ","
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a table, and the line number and cells of each row, as stripped text.

    The file may be compressed: .gz, .bz2, .xz or .zip. Raises `InputError` naming file and line if
    a column of `columns` is missing, any column occurs twice, or a row has too many or too few
    cells.
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
    return head, body


def _separator(head: Sequence[str], delimiter: str) -> str:
    """A hint if the header seems to be separated by another character."""
    other = next((sign for sign in SEPARATORS if sign in head[0] and sign != delimiter), "")
    return f": its cells are separated by {SEPARATORS[other]}" if other else ""


def read_lines(path: Path | str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of every row that is not blank. Raises `InputError`."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > 1 or any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not a table: {error}") from error


def read_text(path: Path | str) -> str:
    """The text (UTF-8) of a file, decompressed by its suffix. Raises `InputError`."""
    path = Path(path)
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
        raise InputError(f"{path}: not a table: {error}") from error
    except (OSError, *DAMAGED) as error:
        fault = f"{path}: damaged, or not a {suffix} file: {reason_of(error)}"
        raise InputError(fault) from error


def _only_member(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"holds {len(names)} files, not one")
        return archive.read(names[0])
