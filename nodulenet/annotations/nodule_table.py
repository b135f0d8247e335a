"""Read nodules from a table of positions and sizes in the format of the LUNA16 challenge."""

import math
from pathlib import Path

import pandas as pd

from nodulenet.annotations.challenge_csv import (
    BOX_SIDES,
    FINDING_COLUMNS,
    check_nodules,
    read_cells,
    with_boxes,
    with_numbers,
)
from nodulenet.annotations.records import ListedNodule, Reading
from nodulenet.files import sha256


def read_nodule_table(path: Path | str, series_uid: str) -> Reading:
    """The nodules of one series in the order of the table, as a reading without sessions.

    The table is a CSV with the columns seriesuid, coordX, coordY, coordZ (world mm, LPS) and
    diameter_mm (negative if unknown), and optionally width_mm, height_mm and depth_mm: the sides
    of the nodule's box along x, y and z, the largest of which is the diameter; all three are empty
    for a nodule without a box. Other columns are ignored. A table without a row of the series
    gives a reading without nodules and with a flag.

    Raises `InputError` naming file and line for a malformed table and, in the rows of this series,
    for a cell that is not a plain number, a diameter of 0, a nodule listed twice, or a box that is
    incomplete or does not fit the diameter.
    """
    cells = read_cells(path, FINDING_COLUMNS)
    own = _checked(cells[cells["seriesuid"] == series_uid], Path(path))
    numbers = own[[*FINDING_COLUMNS[1:], *BOX_SIDES]].itertuples()
    listed = tuple(
        ListedNodule((x, y, z), diameter, line, None if math.isnan(sides[0]) else tuple(sides))
        for line, x, y, z, diameter, *sides in numbers
    )
    flags = () if listed else ("no row of this series in the table",)
    return Reading(series_uid, (), str(path), sha256(path), flags, listed)


def count_listed(path: Path | str) -> dict[str, int]:
    """Number of rows of every series in a table of nodules; all are checked as above."""
    table = _checked(read_cells(path, FINDING_COLUMNS), Path(path))
    return {str(uid): len(own) for uid, own in table.groupby("seriesuid", sort=False)}


def _checked(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    table = with_numbers(cells, FINDING_COLUMNS[1:], path)
    check_nodules(table, path)
    return with_boxes(table, path)
