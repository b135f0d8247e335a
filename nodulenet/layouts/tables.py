"""The CSV files of data sets: names of columns without case, doubled rows, numbers in names."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nodulenet.files import InputError, examples
from nodulenet.text_tables import SEPARATORS, read_lines

SHOWN = 12  # columns of a table that a message lists


def read_head(path: Path) -> list[str]:
    """The names of the columns of a CSV as they are; none if it is empty."""
    return next((cells for _, cells in read_lines(path)), [])


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The columns of a CSV as text, named as in `columns`; the index holds the lines.

    Columns are found by name in any case; others are ignored. A byte order mark and line ends of
    any kind do not matter. Raises `InputError` naming file and line for a column that is missing
    or there twice, another separator than commas, and a row of another length.
    """
    lines = list(read_lines(path))
    if not lines:
        raise InputError(f"{path}: is empty")
    (_, head), *body = lines
    places = [column_of(head, name, path) for name in columns]
    for line, cells in body:
        if len(cells) != len(head):
            hint = ": numbers need a decimal point, not a comma" if len(cells) > len(head) else ""
            raise InputError(f"{path}: line {line} has {len(cells)} cells, not {len(head)}{hint}")
    rows = [[cells[place] for place in places] for _, cells in body]
    index = pd.Index([line for line, _ in body], dtype=int)
    return pd.DataFrame(rows, index=index, columns=list(columns), dtype=str)


def column_of(head: Sequence[str], name: str, path: Path) -> int:
    """The position of a column, whatever the case of its name. Raises `InputError`."""
    found = [place for place, cell in enumerate(head) if cell.casefold() == name.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{path}: column {name} is there twice")
    sign = next((s for s in SEPARATORS if s != "," and len(head) == 1 and s in head[0]), "")
    if sign:
        raise InputError(f"{path}: its cells are separated by {SEPARATORS[sign]}, not by commas")
    more = ", ..." if len(head) > SHOWN else ""
    raise InputError(f"{path}: no column {name}; it has {', '.join(head[:SHOWN])}{more}")


def without_doubles(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The rows of `read_csv`, those that are the same in every cell once, and a note on each."""
    again = table.duplicated()
    notes = []
    for line in table.index[again]:
        same = (table == table.loc[line]).all(axis=1)
        notes.append(f"{path}: lines {same.idxmax()} and {line} are the same row: counted once")
    return table[~again], notes


def bare(name: str) -> str:
    """A name in lower case whose numbers have no leading zeros, which spreadsheets lose."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.casefold())


def by_bare_name(names: Sequence[str], path: Path) -> dict[str, str]:
    """Bare name -> name. Raises `InputError` for two names that differ by leading zeros alone."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(bare(name), name)
        if other != name:
            both = examples([other, name])
            raise InputError(f"{path}: {both} differ by leading zeros alone: rename one of them")
    return known
