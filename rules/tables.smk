"""Reading the scan table: functions alone, called by common.smk."""

import csv
import os

import pandas as pd
from snakemake.exceptions import WorkflowError


def read_scans(table):
    """The scan table by series, with paths seen from the working directory."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, dialect="excel-tab", restkey=""))
    except (OSError, ValueError, csv.Error) as error:
        raise WorkflowError(f"{table}: not a readable scan table: {error}") from None
    if not rows:
        raise WorkflowError(f"{table}: holds no scan")
    for number, row in enumerate(rows, 2):
        if "" in row or None in row.values():
            raise WorkflowError(f"{table}: line {number}: not as many cells as the header")
    scans = pd.DataFrame([{key: cell.strip() for key, cell in row.items()} for row in rows])
    check(scans, "schemas/scans.schema.yaml", table)
    doubled = scans["series_uid"][scans["series_uid"].duplicated()]
    if len(doubled):
        raise WorkflowError(f"{table}: scan {doubled.iloc[0]} is listed more than once")
    for column in ("ct", "annotations", "lung_mask"):
        scans[column] = [locate(table, cell) for cell in scans[column]]
    return scans.set_index("series_uid").to_dict("index")


def locate(table, cell):
    """A path of the scan table seen from the working directory; raises if it is not there."""
    path = os.path.relpath(os.path.join(os.path.dirname(table), cell)) if cell else ""
    made_here = path.startswith(DEMO)
    if path and not made_here and not os.path.exists(path):
        raise WorkflowError(f"{table}: {os.path.join(os.path.dirname(table), cell)} does not exist")
    return os.path.abspath(path) if path.startswith("..") else path
