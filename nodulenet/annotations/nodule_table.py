"""Read nodules from a table of positions and diameters in the format of the LUNA16 challenge."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from nodulenet.annotations.records import ListedNodule, Reading
from nodulenet.files import InputError, sha256

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


def read_nodule_table(path: Path | str, series_uid: str) -> Reading:
    """The nodules of one series in the order of the table, as a reading without sessions.

    The table is a CSV with the columns seriesuid, coordX, coordY, coordZ (world mm, LPS) and
    diameter_mm (negative where unknown); others are passed over. A table without a row of the
    series gives a reading without nodules, and its flag says so.

    Raises `InputError` naming file and line for a malformed table, and for a number that is
    missing, not finite, or a diameter of 0, in a row of this series.
    """
    rows = [(line, cells) for line, cells in _rows(Path(path)) if cells["seriesuid"] == series_uid]
    listed = tuple(_nodule(Path(path), line, cells) for line, cells in rows)
    flags = () if listed else ("no row of this series in the table",)
    return Reading(series_uid, (), str(path), sha256(path), flags, listed)


def count_listed(path: Path | str) -> dict[str, int]:
    """Number of rows of every series in a table of nodules, all of them checked as above.

    Raises `InputError` naming file and line.
    """
    counts: dict[str, int] = {}
    for line, cells in _rows(Path(path)):
        _nodule(Path(path), line, cells)
        counts[cells["seriesuid"]] = counts.get(cells["seriesuid"], 0) + 1
    return counts


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            head = [cell.strip() for cell in next(reader, [])]
            missing = [name for name in COLUMNS if name not in head]
            if missing:
                raise InputError(f"{path}: no table of nodules: no column {', '.join(missing)}")
            for row in filter(None, reader):
                if len(row) != len(head):
                    raise InputError(
                        f"{path}: line {reader.line_num} has {len(row)} cells, not {len(head)}"
                    )
                cells = (cell.strip() for cell in row)
                yield reader.line_num, dict(zip(head, cells, strict=True))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table in CSV: {error}") from error


def _nodule(path: Path, line: int, cells: dict[str, str]) -> ListedNodule:
    if not cells["seriesuid"]:
        raise InputError(f"{path}: line {line}: seriesuid is empty")
    numbers = []
    for name in COLUMNS[1:]:
        try:
            number = float(cells[name])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{path}: line {line}: {name} {cells[name]!r} is not a number")
        numbers.append(number)
    x, y, z, diameter = numbers
    if diameter == 0:
        raise InputError(f"{path}: line {line}: diameter_mm is 0; negative means unknown")
    return ListedNodule((x, y, z), diameter, line)
