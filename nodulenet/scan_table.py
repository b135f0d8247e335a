"""The scan table: the scans of a run and the paths of their files.

The rules of the workflow use this module too, so importing it must be fast; only the functions
that make a data frame import pandas.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nodulenet.files import UID, UID_LENGTH, InputError
from nodulenet.numerals import COUNT
from nodulenet.text_tables import read_rows

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("series_uid", "patient_id", "ct", "annotations", "lung_mask")
OPTIONAL = ("labels", "fold")
PATHS = ("ct", "annotations", "lung_mask")
MADE = {"demo": "results/demo/source", "pretrain": "results/pretrain/source"}
"""Files of a scan table below these folders are made by the workflow."""

TRAIN = "train"
"""In the column `fold`: the scan is in no fold; every network is trained on it, and none is tested
on it, unless there is a single fold and nothing is trained."""

NO_FOLD = -1
"""The number of what is in no fold."""

SEPARATOR = ";"
"""Between the files of several readers in the column `annotations`, and between their labels."""

NO_LABEL = "none"
"""In the column `labels`: none of a file's labels is a nodule."""

LABELS = re.compile(rf"|{NO_LABEL}|[0-9]{{1,8}}(,[0-9]{{1,8}})*")

Row = dict[str, str]


@dataclass(frozen=True)
class MaskFile:
    """A file of masks of which only some labels are nodules."""

    path: Path
    labels: frozenset[int]


def read_scan_table(path: Path | str) -> "pd.DataFrame":
    """The scan table as a data frame of text; see `read_scans`."""
    import pandas as pd

    return pd.DataFrame(read_scans(path), dtype=str)


def read_scans(path: Path | str) -> list[Row]:
    """The rows of a scan table: one row per scan, columns `series_uid, patient_id, ct, annotations,
    lung_mask` and optionally `labels` and `fold`, all as text.

    Paths are resolved against the table's folder and given relative to the working directory; those
    outside of it are absolute. `annotations` and `lung_mask` may be empty; `annotations` may name
    several files separated by semicolons. Raises `InputError` naming the table and its fault: a
    missing, repeated or unknown column, a repeated or invalid series, no scan, a fold that is
    neither a number nor `train`, labels that are not those of its files. Whether the files exist is
    checked by `missing_files`.
    """
    path = Path(path)
    head, body = read_rows(path, COLUMNS, "\t")
    if unknown := [name for name in head if name not in (*COLUMNS, *OPTIONAL)]:
        raise InputError(f"{path}: unknown column {', '.join(map(repr, unknown))}")
    scans = [dict(zip(head, row, strict=True)) for _, row in body]
    check_scans(scans, path, [line for line, _ in body])
    for scan in scans:
        for column in PATHS:
            cells = files_of(scan, column)
            scan[column] = SEPARATOR.join(resolve(str(path.parent), cell) for cell in cells)
    return scans


def missing_files(scans: Iterable[Row]) -> list[tuple[str, str]]:
    """Column and path of each file of the scans that neither exists nor is made by the workflow."""
    cells = [
        (column, path) for scan in scans for column in PATHS for path in files_of(scan, column)
    ]
    # For ten thousand scans, Path takes twice as long.
    return [cell for cell in cells if not is_made(cell[1]) and not os.path.exists(cell[1])]  # noqa: PTH110


def files_of(scan: Row, column: str) -> list[str]:
    """The files that a column of a scan names; none if it is empty."""
    cell = scan[column]
    parts = cell.split(SEPARATOR) if column == "annotations" else [cell]
    return [part.strip() for part in parts if part.strip()]


def with_labels(files: Sequence[str], labels: str) -> list[Path | MaskFile]:
    """The files of annotations of a scan, those with a choice of labels as `MaskFile`.

    labels: the cell of the column `labels`: for each file, separated by semicolons, the labels that
    are nodules, separated by commas; `none` if there is none; nothing if all are.
    """
    parts = [part.strip() for part in labels.split(SEPARATOR)] if labels else [""] * len(files)
    chosen: list[Path | MaskFile] = []
    for file, part in zip(files, parts, strict=True):
        numbers = [] if part == NO_LABEL else part.split(",")
        whole = not part
        chosen.append(Path(file) if whole else MaskFile(Path(file), frozenset(map(int, numbers))))
    return chosen


def kind_of(path: Path | str) -> Literal["xml", "table", "masks"]:
    """The kind of a file of annotations by its suffix; what is neither XML nor CSV is a mask."""
    name = str(path).lower()
    if name.endswith(".xml"):
        return "xml"
    return "table" if re.search(r"\.csv(\.\w+)?$", name) else "masks"


def is_made(path: str) -> bool:
    """Whether the workflow makes this file of a scan table."""
    return path.startswith(tuple(f"{folder}/" for folder in MADE.values()))


def check_scans(scans: Sequence[Row], path: Path, lines: Sequence[int]) -> None:
    """Raise `InputError` if the series, patient, CT or fold of a row cannot be used."""
    if not scans:
        raise InputError(f"{path}: contains no scan")
    seen = set()
    for line, row in zip(lines, scans, strict=True):
        series = row["series_uid"]
        if not UID.fullmatch(series) or len(series) > UID_LENGTH:
            raise InputError(
                f"{path}: line {line}: series_uid {series!r} is not a UID (digits and dots)"
            )
        for column in ("patient_id", "ct"):
            if not row[column]:
                raise InputError(f"{path}: scan {series}: {column} is empty")
        fold = row.get("fold", TRAIN)
        if fold != TRAIN and not COUNT.fullmatch(fold):
            raise InputError(
                f"{path}: scan {series}: fold {fold!r} is neither a number nor `{TRAIN}`"
            )
        check_labels(row, path)
        if series in seen:
            raise InputError(f"{path}: scan {series} is listed more than once")
        seen.add(series)


def check_labels(row: Row, path: Path) -> None:
    """Raise `InputError` if the labels of a row cannot be those of its files."""
    if not row.get("labels"):
        return
    parts, files = row["labels"].split(SEPARATOR), files_of(row, "annotations")
    where = f"{path}: scan {row['series_uid']}: labels {row['labels']!r}"
    if not all(LABELS.fullmatch(part.strip()) for part in parts):
        raise InputError(f"{where}: not numbers separated by commas, `{NO_LABEL}` or nothing")
    if len(parts) != len(files):
        raise InputError(f"{where}: of {len(parts)} files, but annotations has {len(files)}")


def resolve(folder: str, cell: str) -> str:
    """A path of a table relative to the working directory.

    A path that leaves the table's folder by `..` is resolved from the real location of that folder,
    as the operating system resolves it.
    """
    base = os.path.realpath(folder) if ".." in cell.split("/") else folder
    path = os.path.relpath(os.path.join(base, cell))  # noqa: PTH118
    return os.path.abspath(path) if path.startswith("..") else path  # noqa: PTH100


def fixed_folds(table: "pd.DataFrame") -> dict[str, int] | None:
    """series -> fold from the column `fold`, `NO_FOLD` for `train`; None without such a column."""
    if "fold" not in table:
        return None
    cells = zip(table["series_uid"], table["fold"], strict=True)
    return {series: NO_FOLD if fold == TRAIN else int(fold) for series, fold in cells}
