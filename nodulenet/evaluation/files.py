"""FROC of files in LUNA16's own formats, and reading of such tables."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nodulenet.evaluation.bootstrap import bootstrap
from nodulenet.evaluation.froc import Readout, froc
from nodulenet.evaluation.summary import froc_rows, summarize, write_rows
from nodulenet.evaluation.tables import (
    FINDING_COLUMNS,
    MARK_COLUMNS,
    check_columns,
    check_scans,
    scan_positions,
)
from nodulenet.files import InputError, write_json

PROTOCOL = "luna16"
UNREADABLE = (OSError, ValueError, EOFError, zlib.error)


def froc_files(
    annotations: Path,
    excluded: Path,
    scans: Path,
    predictions: Path,
    output: Path,
    readout: Readout = "challenge",
    samples: int = 1000,
) -> None:
    """Score a LUNA16 submission: write froc.csv and froc.json into the folder `output`.

    annotations, excluded: CSV with header seriesuid, coordX, coordY, coordZ, diameter_mm;
    predictions: probability for the diameter; scans: one series a line without header; any of
    them may be compressed. Raises `InputError` for a file that is not so, and for series that the
    list of scans lacks.
    """
    listed = read_scans(scans)
    tables = {
        path: read_table(path, columns)
        for path, columns in (
            (annotations, FINDING_COLUMNS),
            (excluded, FINDING_COLUMNS),
            (predictions, MARK_COLUMNS),
        )
    }
    for path, table in tables.items():
        scan_positions(table, listed, str(path))
    result = froc(tables[annotations], tables[excluded], tables[predictions], listed, readout)
    content = summarize(result, bootstrap(result, samples))
    heading = {"protocol": PROTOCOL, "readout": readout, "bootstrap": samples}
    write_rows(froc_rows(PROTOCOL, "submission", {"pooled": content}), output / "froc.csv")
    write_json(output / "froc.json", heading | content)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV whose first column of `columns` is text and the others finite numbers.

    Raises `InputError` naming the file and the fault.
    """
    try:
        table = pd.read_csv(path, dtype={columns[0]: str}, encoding="utf-8-sig")
    except UNREADABLE as error:
        raise InputError(f"{path}: {_reason(error)}") from error
    check_columns(table, columns, str(path))
    return table


def read_scans(path: Path) -> list[str]:
    """Read a list of series, one a line, no header. Raises `InputError`."""
    try:
        table = pd.read_csv(path, header=None, dtype=str, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        table = pd.DataFrame({0: []}, dtype=str)
    except UNREADABLE as error:
        raise InputError(f"{path}: {_reason(error)}") from error
    if table.shape[1] != 1:
        raise InputError(f"{path}: {table.shape[1]} columns in what should be a list of series")
    scans = [str(scan).strip() for scan in table[0]]
    if scans[:1] == ["seriesuid"]:
        raise InputError(f"{path}: line 1 is a header, a list of series has none")
    check_scans(scans, str(path))
    return scans


def _reason(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split())
