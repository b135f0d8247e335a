"""The scores of one stage of a cohort: FROC of its result sets and Dice of its masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.evaluation.bootstrap import bootstrap
from nodulenet.evaluation.froc import froc
from nodulenet.evaluation.inputs import (
    ScoredScan,
    read_cohort,
    read_findings,
    read_labels,
    read_predictions,
    result_sets,
)
from nodulenet.evaluation.segmentation import COLUMNS, score_masks, summarize_masks
from nodulenet.evaluation.summary import froc_rows, summarize, write_rows
from nodulenet.files import InputError, replacing, write_json
from nodulenet.inference.masks import read_masks

PROTOCOL = "nodulenet"


def evaluate_stage(
    manifest: Path,
    folds: Path,
    predictions: Path,
    masks: Sequence[Path],
    settings: Mapping[str, Any],
    output: Path,
) -> None:
    """Write froc.csv, froc.json and segmentation.csv of one stage into the folder `output`.

    predictions: the stage's predictions.csv over all folds; masks: the folders of masks in the
    order of the folds; settings: the config's section `froc` (protocol, readout, bootstrap).
    Protocol `nodulenet`: scans with a consensus nodule count; marks in the others are not scored.
    Raises `InputError` naming the file and the fault.
    """
    if settings["protocol"] != PROTOCOL:
        raise InputError(f"froc.protocol is {settings['protocol']}, a cohort's is {PROTOCOL}")
    cohort = read_cohort(Path(manifest), Path(folds))
    table = read_predictions(Path(predictions), cohort)
    scored = [scan for scan in cohort if scan.nodules > 0]
    if not scored:
        raise InputError(f"{manifest}: no scan with a consensus nodule to evaluate on")
    findings = {scan.series_uid: read_findings(scan) for scan in scored}
    segmentation = score_segmentation(scored, findings, table, [Path(folder) for folder in masks])
    content = {
        "protocol": PROTOCOL,
        "readout": settings["readout"],
        "bootstrap": settings["bootstrap"],
        "scans_without_nodules": len(cohort) - len(scored),
        "sets": {
            name: score_set(scored, findings, marks, settings)
            for name, marks in result_sets(table, str(predictions)).items()
        },
        "segmentation": None if segmentation is None else _by_fold(segmentation),
    }
    _write(content, segmentation, Path(output))


def score_set(
    scored: Sequence[ScoredScan],
    findings: Mapping[str, pd.DataFrame],
    marks: pd.DataFrame,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Summary of one result set over all scans, and by fold under `folds`."""
    content = _score(scored, findings, marks, settings)
    content["folds"] = {
        str(fold): _score([s for s in scored if s.fold == fold], findings, marks, settings)
        for fold in sorted({scan.fold for scan in scored})
    }
    return content


def score_segmentation(
    scored: Sequence[ScoredScan],
    findings: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
    masks: Sequence[Path],
) -> pd.DataFrame | None:
    """Rows of segmentation.csv; None where the stage writes no file of masks for any scan.

    Raises `InputError` when some scans have a file of masks and others lack it, and when a mask
    belongs to a row of another scan.
    """
    paths = [masks[scan.fold] / f"{scan.series_uid}.npz" for scan in scored]
    if not any(path.exists() for path in paths):
        return None
    rows_of = {series: set(rows["row"]) for series, rows in predictions.groupby("seriesuid")}
    tables = []
    for scan, path in zip(scored, paths, strict=True):
        cropped = read_masks(path)
        strange = set(cropped) - rows_of.get(scan.series_uid, set())
        if strange:
            raise InputError(f"{path}: row {min(strange)} of fold {scan.fold} is of another scan")
        names = (str(scan.mask), str(path))
        table = score_masks(read_labels(scan), scan.nodules, cropped, names)
        own = findings[scan.series_uid]
        table["diameter_mm"] = own.loc[own["kind"] == "nodule", "diameter_mm"].to_numpy()
        tables.append(table.assign(series_uid=scan.series_uid, fold=scan.fold))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _score(
    scans: Sequence[ScoredScan],
    findings: Mapping[str, pd.DataFrame],
    marks: pd.DataFrame,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    series = [scan.series_uid for scan in scans]
    own = pd.concat([findings[scan] for scan in series], ignore_index=True)
    nodule = own["kind"] == "nodule"
    marks = marks[marks["seriesuid"].isin(series)]
    result = froc(own[nodule], own[~nodule], marks, series, settings["readout"])
    return summarize(result, bootstrap(result, settings["bootstrap"]))


def _by_fold(segmentation: pd.DataFrame) -> dict[str, Any]:
    folds = {str(fold): summarize_masks(rows) for fold, rows in segmentation.groupby("fold")}
    return summarize_masks(segmentation) | {"folds": folds}


def _write(content: dict[str, Any], segmentation: pd.DataFrame | None, output: Path) -> None:
    rows: list[dict[str, Any]] = []
    for name, result in content["sets"].items():
        rows += froc_rows(PROTOCOL, name, {"pooled": result} | result["folds"])
    write_rows(rows, output / "froc.csv")
    write_json(output / "froc.json", content)
    table = pd.DataFrame(columns=list(COLUMNS)) if segmentation is None else segmentation
    with replacing(output / "segmentation.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
