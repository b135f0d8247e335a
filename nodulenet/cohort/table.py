"""The scan table: which scans a run has, and where their files are."""

import csv
from pathlib import Path

import pandas as pd

from nodulenet.files import UID, UID_LENGTH, InputError
from nodulenet.numerals import COUNT

COLUMNS = ("series_uid", "patient_id", "ct", "annotations", "lung_mask")
PATHS = ("ct", "annotations", "lung_mask")


def read_scan_table(path: Path | str) -> pd.DataFrame:
    """Read a scan table: one row per scan, columns `series_uid, patient_id, ct, annotations,
    lung_mask` and optionally `fold`, all as text; paths are resolved against its folder.

    `annotations` and `lung_mask` may be empty. Raises `InputError` naming the table and its
    fault: a missing, doubled or unknown column, a doubled or ill-formed series, no scan, a
    fold that is no number. Files are not looked for: rules may be about to make them.
    """
    path = Path(path)
    table = read_text_table(path)
    check_columns(table, path)
    check_series(table, path)
    for column in PATHS:
        table[column] = [resolve(path.parent, cell) for cell in table[column]]
    return table


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a TSV with a header, all cells as text.

    Raises `InputError` naming file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, "excel-tab") if row]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table: {error}") from error
    if not rows:
        raise InputError(f"{path}: is empty")
    head, *body = rows
    if len(set(head)) < len(head):
        raise InputError(f"{path}: a column is there twice")
    for line, row in enumerate(body, start=2):
        if len(row) != len(head):
            raise InputError(f"{path}: line {line} has {len(row)} columns, not {len(head)}")
    return pd.DataFrame(body, columns=head, dtype=str)


def check_columns(table: pd.DataFrame, path: Path) -> None:
    """Raise `InputError` unless `table` has the scan table's columns and no others."""
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing")
    unknown = [name for name in table if name not in (*COLUMNS, "fold")]
    if unknown:
        raise InputError(f"{path}: unknown column {', '.join(map(repr, unknown))}")


def check_series(table: pd.DataFrame, path: Path) -> None:
    """Raise `InputError` where a row's series, patient, CT or fold cannot be used."""
    if table.empty:
        raise InputError(f"{path}: holds no scan")
    for line, row in enumerate(table.to_dict("records"), start=2):
        series = row["series_uid"]
        if not UID.fullmatch(series) or len(series) > UID_LENGTH:
            raise InputError(
                f"{path}: line {line}: series_uid {series!r} is not a UID (digits and dots)"
            )
        for column in ("patient_id", "ct"):
            if not row[column]:
                raise InputError(f"{path}: scan {series}: {column} is empty")
        if not COUNT.fullmatch(row.get("fold", "0")):
            raise InputError(f"{path}: scan {series}: fold {row['fold']!r} is not a number")
    doubled = table["series_uid"][table["series_uid"].duplicated()]
    if len(doubled):
        raise InputError(f"{path}: scan {doubled.iloc[0]} is listed more than once")


def resolve(folder: Path, cell: str) -> str:
    """A cell's path seen from the working directory; an empty cell stays empty."""
    return str(folder / cell) if cell else ""


def fixed_folds(table: pd.DataFrame) -> dict[str, int] | None:
    """series -> fold from the column `fold`; None where the table has no such column."""
    if "fold" not in table:
        return None
    return dict(zip(table["series_uid"], table["fold"].astype(int), strict=True))
