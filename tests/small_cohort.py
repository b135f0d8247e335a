"""A cohort of three scans on disk as the workflow leaves it, small and made up: files for tests.

Scan s0 (fold 0): one nodule, found; a second one, missed. s1 (fold 1): one nodule, found, and an
excluded finding. s2 (fold 1): no nodule. Two readers outlined each nodule, the first as the
consensus is, the second a ball smaller by 1 voxel. The first nodule of a scan is of level 4, the
second of level 3; predicted diameters are 10 mm. World mm are voxels, shifted by -100 along every
axis.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from nodulenet.annotations import Group
from nodulenet.cohort.folds import write_folds
from nodulenet.cohort.manifest import ARTEFACTS, COLUMNS, ROWS, write_manifest
from nodulenet.evaluation import StageFiles
from nodulenet.imaging import write_nodules
from nodulenet.imaging.store import write_scan
from nodulenet.imaging.volume import Volume
from nodulenet.inference.table import COLUMNS as PREDICTION_COLUMNS
from nodulenet.masks import CroppedMask, crop, write_masks

SHAPE = (60, 80, 90)
NODULES = {"s0": [((20, 30, 30), 6), ((40, 60, 70), 4)], "s1": [((30, 40, 45), 9)], "s2": []}
EXCLUDED = {"s0": [], "s1": [((10, 20, 20), 5)], "s2": []}
FOLDS = {"s0": 0, "s1": 1, "s2": 1}
AFFINE = np.array([[0, 0, 1, -100], [0, 1, 0, -100], [1, 0, 0, -100], [0, 0, 0, 1]], float)


def ball(centre, radius):
    """Voxels of SHAPE within the radius, bool (z, y, x)."""
    grid = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    return (grid**2).sum(axis=0) <= radius**2


def world(centre):
    """Voxel (z, y, x) -> the three LPS columns, mm."""
    return dict(zip(("coordX", "coordY", "coordZ"), np.array(centre[::-1]) - 100.0, strict=True))


def build(folder: Path) -> StageFiles:
    """Write the cohort below `folder`; returns the files that an evaluation takes."""
    rows = [write_one(folder, series) for series in NODULES]
    write_manifest(pd.DataFrame(rows, columns=list(COLUMNS)), folder / "manifest.tsv")
    folds = [{"series_uid": s, "patient_id": f"p{s}", "fold": fold} for s, fold in FOLDS.items()]
    write_folds(pd.DataFrame(folds), folder / "folds.tsv")
    masks = write_predictions(folder)
    return StageFiles(
        manifest=folder / "manifest.tsv",
        folds=folder / "folds.tsv",
        predictions=folder / "full/predictions.csv",
        masks=masks,
    )


def write_one(folder, series):
    """One scan's volume, labels and findings; returns its row of the manifest."""
    paths = {name: pattern.format(series) for name, pattern in ARTEFACTS.items()}
    noise = np.random.default_rng(0).normal(60, 12, SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    findings = []
    for label, (centre, radius) in enumerate(NODULES[series], 1):
        labels[ball(centre, radius)] = label
        noise[ball(centre, radius)] += 110
        findings.append(
            {"kind": "nodule", "label": label, "level": 5 - label, "diameter_mm": 2 * radius + 1}
            | world(centre)
        )
    for centre, radius in EXCLUDED[series]:
        noise[ball(centre, radius)] += 60
        findings.append(
            {"kind": "small", "label": 0, "level": 0, "diameter_mm": -1} | world(centre)
        )
    columns = [
        "series_uid",
        "finding",
        "kind",
        "label",
        "level",
        "coordX",
        "coordY",
        "coordZ",
        "diameter_mm",
    ]
    table = pd.DataFrame(findings, columns=columns).assign(series_uid=series)
    (folder / "nodules").mkdir(parents=True, exist_ok=True)
    groups = [read_twice(centre, radius) for centre, radius in NODULES[series]]
    write_nodules(folder / paths["nodules"], folder / paths["findings"], groups, table)
    volume = Volume(noise.clip(0, 255).astype(np.uint8), AFFINE)
    record = {"source_affine": AFFINE.tolist()}
    write_scan({k: folder / paths[k] for k in ("volume", "record", "mask")}, volume, labels, record)
    counts = dict.fromkeys(("n_below_level", "n_small", "n_non_nodule", *ROWS), 0)
    counts |= {"annotations": f"{series}.xml"}
    row = {"series_uid": series, "patient_id": f"p{series}", "status": "ok"} | counts
    row |= {"lost": "", "warnings": ""}
    row |= dict(zip(("depth", "height", "width"), SHAPE, strict=True))
    return row | paths | {"n_nodules": len(NODULES[series]), "n_kept": len(NODULES[series])}


def read_twice(centre, radius):
    """The group of a nodule that readers 1 and 2 outlined."""
    outlines = [crop(ball(centre, size)) for size in (radius, radius - 1)]
    return Group(((0, 0), (1, 0)), *outlines[0], tuple(outlines))


MARKS = (
    # series, ensemble centre, decoded centre, probability, ncs, dfps, kept
    ("s0", (20, 30, 31), (20, 30, 30), 0.9, 0.85, 0.95, 1),
    ("s0", (20, 31, 30), (20, 33, 30), 0.7, 0.8, 0.6, 0),
    ("s1", (30, 40, 44), (30, 40, 45), 0.8, 0.7, 0.9, 1),
    ("s1", (50, 70, 10), (50, 70, 10), 0.6, 0.9, 0.3, 1),
    ("s1", (10, 20, 21), (10, 20, 20), 0.55, 0.6, 0.5, 1),
    ("s2", (30, 30, 30), (30, 30, 30), 0.95, 0.95, 0.95, 1),
)


def write_predictions(folder):
    """Predictions of the stage `full` and the masks of s0 (exact) and s1 (a shifted ball)."""
    rows = []
    for series, centre, decoded, probability, ncs, dfps, kept in MARKS:
        second = {f"dfps_{name}": value for name, value in world(decoded).items()}
        scores = {"probability": probability, "ncs_probability": ncs, "dfps_probability": dfps}
        row = {"seriesuid": series, "kept": kept, "fold": FOLDS[series], "diameter_mm": 10.0}
        rows.append(row | world(centre) | second | scores)
    (folder / "full").mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
    table.to_csv(folder / "full/predictions.csv", index=False)
    masks = [folder / f"fold{fold}/full/masks" for fold in (0, 1)]
    write_masks({1: CroppedMask(ball((20, 30, 30), 6), (0, 0, 0))}, masks[0] / "s0.npz")
    shifted = CroppedMask(ball((30, 42, 46), 8), (0, 0, 0))
    write_masks({1: shifted}, masks[1] / "s1.npz")
    write_masks({}, masks[1] / "s2.npz")
    return masks
