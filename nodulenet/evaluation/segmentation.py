"""How well a stage's masks cover the nodules: against the consensus and each single reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nodulenet.evaluation.masks import (
    SCORES,
    best_mask,
    compare_masks,
    mean_by_nodule,
    summarize_masks,
)
from nodulenet.evaluation.readers import ScanMasks, read_scan_masks, with_nodule
from nodulenet.evaluation.tables import read_scores
from nodulenet.evaluation.truth import ScoredScan
from nodulenet.files import InputError
from nodulenet.masks import NO_MASK, CroppedMask, read_masks
from nodulenet.progress import track

COLUMNS = ("series_uid", "fold", "label", "diameter_mm", *SCORES, "found", "row")
READER_COLUMNS = ("series_uid", "fold", "label", "reader", *SCORES, "found")


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The rows of segmentation.csv, one per consensus nodule (`COLUMNS`), and of readers.csv, one
    per nodule and reader (`READER_COLUMNS`).
    """

    nodules: pd.DataFrame
    readers: pd.DataFrame


def score_segmentation(
    scored: Sequence[ScoredScan],
    findings: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
    masks: Sequence[Path],
) -> Segmentation:
    """Scores of every nodule that was drawn; no row where the stage writes no masks for any scan.

    Raises `InputError` when some scans have a file of masks and others lack it, and when a mask
    belongs to a row of another scan or leaves its volume.
    """
    paths = [masks[scan.fold] / f"{scan.series_uid}.npz" for scan in scored]
    if not any(path.exists() for path in paths):
        return _segmentation([], [])
    rows_of = {series: set(rows["row"]) for series, rows in predictions.groupby("seriesuid")}
    nodules: list[dict[str, Any]] = []
    readers: list[dict[str, Any]] = []
    pairs = zip(scored, paths, strict=True)
    for scan, path in track(pairs, "score masks", "scans", len(paths)):
        cropped = read_masks(path)
        strange = set(cropped) - rows_of.get(scan.series_uid, set())
        if strange:
            raise InputError(f"{path}: row {min(strange)} of fold {scan.fold} is of another scan")
        own = findings[scan.series_uid]
        truth = read_scan_masks(scan, own)
        check_masks(cropped, truth.shape, str(path))
        if not truth.outlined:
            continue
        scan_nodules, scan_readers = score_masks(truth, cropped)
        nodules += with_nodule(scan_nodules, scan, own)
        readers += with_nodule(scan_readers, scan, own)
    return _segmentation(nodules, readers)


def _segmentation(nodules: list[dict[str, Any]], readers: list[dict[str, Any]]) -> Segmentation:
    table = pd.DataFrame(nodules, columns=list(COLUMNS)).astype({"row": "Int64"})
    return Segmentation(table, pd.DataFrame(readers, columns=list(READER_COLUMNS)))


def read_segmentation(path: Path) -> pd.DataFrame:
    """Read segmentation.csv: `COLUMNS`, series as text, row as Int64; no row without masks.

    Raises `CorruptArtefact` naming a file that is missing or damaged.
    """
    return read_scores(path, COLUMNS, series_uid="str", row="Int64")


def score_masks(
    truth: ScanMasks, masks: Mapping[int, CroppedMask]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give each nodule of a scan the detection mask with the best Dice, and score that.

    masks: row of the prediction -> mask in the grid of the volume. One mask may serve two
    nodules. First result, one row per nodule: label, the scores of `compare_masks` against the
    consensus, found (Dice > 0), row (None where not found). Second, one row per nodule and reader:
    the same mask against that reader's. A missed nodule is scored with an empty mask.
    """
    nodules: list[dict[str, Any]] = []
    readers: list[dict[str, Any]] = []
    for label, (nodule, outlines) in enumerate(zip(truth.nodules, truth.readers, strict=True), 1):
        row = best_mask(nodule, masks)
        mask = NO_MASK if row is None else masks[row]
        place = {"label": label, "found": int(row is not None)}
        scores = compare_masks(mask, nodule, truth.voxel_mm)
        nodules.append(place | scores | {"row": row})
        for reader, outline in outlines.items():
            scores = compare_masks(mask, outline, truth.voxel_mm)
            readers.append(place | scores | {"reader": reader})
    return nodules, readers


def check_masks(
    masks: Mapping[int, CroppedMask], shape: tuple[int, ...], name: str = "masks"
) -> None:
    """Raise `InputError` for a mask that leaves the volume of `shape`."""
    for row, cropped in masks.items():
        low = np.array(cropped.offset)
        if (low < 0).any() or (low + cropped.mask.shape > shape).any():
            raise InputError(f"{name}: the mask of row {row} leaves the volume")


def summarize_segmentation(segmentation: Segmentation) -> dict[str, Any] | None:
    """Means over all nodules, by fold under `folds`, against single readers under `readers`; None
    for a stage without masks.
    """
    table = segmentation.nodules
    if table.empty:
        return None
    folds = {str(fold): summarize_masks(rows) for fold, rows in table.groupby("fold")}
    readers = summarize_readers(segmentation.readers)
    return summarize_masks(table) | {"folds": folds, "readers": readers}


def summarize_readers(table: pd.DataFrame) -> dict[str, Any]:
    """As `summarize_masks`, over the rows of readers.csv: first the mean over the readers of each
    nodule, then over the nodules; with the number of readers' masks.
    """
    return {"masks": len(table)} | summarize_masks(mean_by_nodule(table))
