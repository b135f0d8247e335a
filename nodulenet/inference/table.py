"""predictions.csv: candidates of many scans in world millimetres, LUNA16's columns first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.annotations.challenge_csv import (
    MARK_COLUMNS,
    POSITION,
    parse_together,
    read_table,
)
from nodulenet.cohort import read_folds
from nodulenet.files import InputError, own_artefact, read_json, replacing
from nodulenet.imaging import Volume
from nodulenet.scan_table import NO_FOLD

if TYPE_CHECKING:  # needs torch, which joining tables does not
    from nodulenet.inference.predictor import ScanPrediction

SIZES = ("diameter_mm", "depth_mm", "height_mm", "width_mm")
DFPS_COLUMNS = tuple(f"dfps_{name}" for name in POSITION + SIZES)
COLUMNS = (
    *MARK_COLUMNS,
    *SIZES,
    "ncs_probability",
    "dfps_probability",
    *DFPS_COLUMNS,
    "kept",
    "fold",
)
NUMBERS = tuple(name for name in COLUMNS if name not in ("seriesuid", "kept", "fold"))


def box_columns(
    boxes: NDArray[np.float32], grid: Volume, margin_total: float
) -> dict[str, NDArray[np.float64]]:
    """Boxes (N, 6) in voxels of `grid` -> their centres in LPS mm and sizes in mm.

    Sizes are those of the nodule: the margin of truth boxes is subtracted, leaving at least one
    voxel. diameter_mm is the largest of them.
    """
    sizes = np.maximum(boxes[:, 3:] - margin_total, 1) * grid.spacing
    columns = [*grid.to_world(boxes[:, :3]).T, sizes.max(1, initial=0), *sizes.T]
    return dict(zip(POSITION + SIZES, columns, strict=True))


def prediction_table(
    series_uid: str, prediction: "ScanPrediction", grid: Volume, margin_total: float, fold: int
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Rows of predictions.csv of one scan in descending order of probability, with the candidate of
    each.

    probability is the mean of the two branches, or the NCS probability if DFPS is not trained; the
    DFPS columns are then empty.
    """
    ncs, dfps = prediction.ncs_probability, prediction.dfps_probability
    ensemble = ncs if dfps is None else (ncs + dfps) / 2
    table = pd.DataFrame(
        {
            "seriesuid": series_uid,
            "probability": ensemble,
            **box_columns(prediction.ncs_boxes, grid, margin_total),
            "ncs_probability": ncs,
            "dfps_probability": dfps,
            "kept": prediction.kept.astype(int),
            "fold": fold,
        },
        columns=list(COLUMNS),
    )
    if prediction.dfps_boxes is not None:
        decoded = box_columns(prediction.dfps_boxes, grid, margin_total)
        table[list(DFPS_COLUMNS)] = np.column_stack(list(decoded.values()))
    order = np.argsort(-ensemble, kind="stable")
    return table.iloc[order], order


def write_predictions(tables: Sequence[pd.DataFrame], path: Path) -> None:
    """Write predictions.csv: each number with the fewest digits that restore its float32."""
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    table = table.astype(dict.fromkeys(NUMBERS, np.float32))
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions.csv: the columns `COLUMNS`, series as text, positions and probabilities as
    finite numbers.

    Raises `CorruptArtefact` naming the file when it is missing or damaged.
    """
    needed = (*MARK_COLUMNS, "ncs_probability")
    with own_artefact(path):
        table = parse_together([path.read_bytes()], needed)
        if table is None:
            table = read_table(path, needed)
        missing = [column for column in COLUMNS if column not in table]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}")
        return table


def concat_predictions(folders: Sequence[Path], folds: Path, output: Path) -> None:
    """Join the folds' predictions in the order of their folders.

    Each folder holds predictions.csv and predictions.json, which lists the scans predicted.
    Raises `InputError` if a scan of folds.tsv is missing, repeated or unknown, `CorruptArtefact` if
    files of a fold are damaged or inconsistent, so that a truncated table is noticed.
    """
    predicted: list[str] = []
    for folder in map(Path, folders):
        predicted += read_fold(folder)
    table = read_folds(folds)
    check_predicted(predicted, set(table.series_uid[table.fold != NO_FOLD]), folds)
    join_tables([Path(folder) / "predictions.csv" for folder in folders], output)


def join_tables(paths: Sequence[Path], output: Path) -> None:
    """Concatenate the unchanged rows of tables with the same header.

    Raises `InputError` naming a table with another header than the first.
    """
    with replacing(output) as temporary, temporary.open("w") as whole:
        for number, path in enumerate(paths):
            head, _, rows = path.read_text().partition("\n")
            if not number:
                first = head
                whole.write(f"{head}\n")
            if head != first:
                raise InputError(f"{path}: not the columns of {paths[0]}")
            whole.write(rows if rows.endswith("\n") else f"{rows}\n" * bool(rows))


def read_fold(folder: Path) -> list[str]:
    """The scans of a fold. Raises `CorruptArtefact` if its predictions are inconsistent."""
    summary, path = folder / "predictions.json", folder / "predictions.csv"
    record = read_json(summary)
    table = read_predictions(path)
    with own_artefact(summary):
        scans, candidates = [str(scan) for scan in record["scans"]], record["candidates"]
    with own_artefact(path):
        strangers = sorted(set(table.seriesuid) - set(scans))
        if strangers:
            raise InputError(f"{path}: scan {strangers[0]} is not of this fold")
        for scan, rows in table.seriesuid.value_counts().reindex(scans, fill_value=0).items():
            if rows != candidates[scan]:
                raise InputError(
                    f"{path}: scan {scan}: {rows} rows, {summary} says {candidates[scan]}"
                )
    return scans


def check_predicted(predicted: Sequence[str], expected: set[str], folds: Path) -> None:
    """Raise `InputError` unless every expected scan was predicted exactly once."""
    counts = pd.Series(predicted, dtype=str).value_counts()
    faults = {
        "is missing from the predictions": sorted(expected - set(counts.index)),
        "is not in the table": sorted(set(counts.index) - expected),
        "was predicted more than once": sorted(counts.index[counts > 1]),
    }
    for fault, scans in faults.items():
        if scans:
            raise InputError(f"{folds}: scan {scans[0]} {fault} ({len(scans)} such scans)")
