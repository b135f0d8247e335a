"""Two real DICOM scans of LIDC-IDRI and their XML through the whole DAG."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import one_scan
import pandas as pd
import pytest
import running
from drawn import write_label_maps

from nodulenet.cli import main
from nodulenet.cohort import gather_manifest, read_folds, read_manifest, write_manifest
from nodulenet.cohort.steps import Scan
from nodulenet.evaluation import StageFiles, evaluate_stage
from nodulenet.evaluation.tables import Origin
from nodulenet.imaging import Volume
from nodulenet.imaging.store import open_scan
from nodulenet.inference.predictor import ScanPrediction
from nodulenet.inference.table import prediction_table, write_predictions
from nodulenet.masks import CroppedMask, crop, write_masks
from nodulenet.scan_table import read_scan_table
from nodulenet.settings import FrocSettings

pytestmark = pytest.mark.slow

# The LUNA16 challenge's nodule of patient 0001, world mm.
NODULE_0001 = (56.208, 86.343, -115.868)
SCORES = (
    *("froc.csv", "nodules.csv", "false_positives.csv", "scans.csv"),
    *("segmentation.csv", "readers.csv"),
)


def test_real_scans(
    fresh: Path, lidc_scan: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for patient in ("0001", "0003"):
        shutil.copytree(lidc_scan(patient), fresh / "lidc" / patient, copy_function=os.link)
    shutil.copy(Path(__file__).with_name("real.yaml"), fresh / "config.yaml")
    data, table = str(fresh / "lidc"), fresh / "real.tsv"
    assert main(["index", "--ct", data, "--annotations", data, "--output", str(table)]) == 0
    running.run(fresh)

    results = fresh / "results/real"
    manifest = pd.read_csv(results / "manifest.tsv", sep="\t").set_index("patient_id")
    assert manifest["status"].tolist() == ["ok", "ok"]
    assert manifest["n_kept"].to_dict() == {"LIDC-IDRI-0001": 1, "LIDC-IDRI-0003": 3}
    scan = manifest.loc["LIDC-IDRI-0001"]
    findings = pd.read_csv(results / scan["findings"])
    nodule = findings[findings["kind"] == "nodule"].iloc[0]
    found = nodule[["centroidX", "centroidY", "centroidZ"]].to_numpy(float)
    assert np.linalg.norm(found - NODULE_0001) < 1
    labels, affine, _ = open_scan(results / scan["mask"], results / scan["record"])
    centre = Volume(labels, affine).to_world(np.argwhere(labels == 1).mean(axis=0))
    assert np.linalg.norm(centre - NODULE_0001) < 1

    predictions = pd.read_csv(results / "full/predictions.csv")
    assert len(predictions)
    for patient, row in manifest.iterrows():
        _, affine, record = open_scan(results / row["volume"], results / row["record"])
        last = np.array(record["shape"]) - 1
        corners = Volume(np.empty(0), affine).to_world(np.array([[0, 0, 0], last]))
        own = predictions[predictions["seriesuid"] == row["series_uid"]]
        inside = own[["coordX", "coordY", "coordZ"]].to_numpy()
        assert (inside >= corners.min(axis=0) - 1).all(), patient
        assert (inside <= corners.max(axis=0) + 1).all(), patient
    page = (results / "report.html").read_text()
    assert "GE MEDICAL SYSTEMS LightSpeed Plus" in page
    assert "slice thickness, mm (of 2 scans)" in page
    assert "synthetic" not in page
    assert (results / "full/gallery.png").stat().st_size > 10_000
    scores = pd.read_csv(results / "full/froc.csv")
    assert set(scores["scans"]) == {1, 2}
    assert scores["nodules"].max() == 4
    pairs = pd.read_csv(results / "reader_pairs.csv")
    # Every nodule of the two scans has at least three readers, who agree as people do.
    assert pairs.groupby(["series_uid", "label"])["reader"].nunique().ge(3).all()
    between = pairs[pairs["against"] != "consensus"]
    assert between["dice"].between(0.4, 0.99).all()
    assert between["surface_mean_mm"].between(0.1, 3).all()
    monkeypatch.chdir(fresh)
    check_masks(table, results)


def check_masks(table: Path, results: Path) -> None:
    """The outlines of the scans, written out as masks, are prepared and scored as the outlines."""
    scans, folder = read_scan_table(table), results.with_name("masks")
    for row, scan in scans.iterrows():
        ct, own = Path(scan["ct"]), folder / scan["series_uid"]
        own.mkdir(parents=True)
        masks = write_label_maps(Path(scan["annotations"]), ct, own.name, own, ".mha")
        one_scan.prepare(folder, Scan(own.name, ct), masks, "masks")
        scans.loc[row, "annotations"] = ";".join(map(str, masks))
    made = gather_manifest(scans, folder, "masks")
    write_manifest(made, folder / "manifest.tsv")
    outlines = read_manifest(results / "manifest.tsv")
    assert made["n_kept"].tolist() == outlines["n_kept"].tolist()
    assert made["warnings"].tolist() == outlines["warnings"].tolist() == ["", ""]
    for series in scans["series_uid"]:
        compare_scan(results, folder, series)

    # The network of this run has hardly learned anything; these find nodules, with Dice below 1.
    detections = write_detections(results, folder)
    for path, made_from in ((folder / "xml", results), (folder / "full", folder)):
        files = StageFiles(made_from / "manifest.tsv", results / "folds.tsv", *detections)
        evaluate_stage(files, FrocSettings(bootstrap=100), Origin("as given", 3, "here"), path)
    for name in SCORES:
        ours, theirs = (pd.read_csv(folder / path / name) for path in ("full", "xml"))
        assert len(theirs), name
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-6)
    scores = pd.read_csv(folder / "full/froc.csv")
    assert scores["nodules"].max() == scores["found"].max() == 4
    assert scores["cpm"].between(0.3, 1).all()
    assert pd.read_csv(folder / "full/segmentation.csv")["dice"].between(0.5, 0.99).all()


def write_detections(results: Path, folder: Path) -> tuple[Path, list[Path]]:
    """Predictions, and the folders of their masks by fold: every nodule of the outlines moved by a
    voxel along each axis, and in each scan two places without a nodule, one of them first.
    """
    tables, folders = [], [folder / "moved/0", folder / "moved/1"]
    for fold, series in read_folds(results / "folds.tsv").set_index("fold")["series_uid"].items():
        files = one_scan.volume(results, series)
        labels, affine, _ = open_scan(files["mask"], files["record"])
        masks = {}
        for row, label in enumerate(range(1, labels.max() + 1), 2):
            whole = crop(labels == label)
            masks[row] = CroppedMask(whole.mask, tuple(n + 1 for n in whole.offset))
        centres = [np.array(m.offset) + (np.array(m.mask.shape) - 1) / 2 for m in masks.values()]
        centres = np.array([[6, 6, 6], *centres, np.array(labels.shape) - 7], np.float32)
        boxes = np.hstack([centres, np.full_like(centres, 20)])
        probability = np.linspace(0.9, 0.6, len(boxes), dtype=np.float32)
        kept = np.ones(len(boxes), bool)
        found = ScanPrediction(boxes, probability, boxes, probability, kept, {})
        tables.append(prediction_table(series, found, Volume(labels, affine), 8, int(fold))[0])
        folders[int(fold)].mkdir(parents=True)
        write_masks(masks, folders[int(fold)] / f"{series}.npz")
    write_predictions(tables, folder / "moved/predictions.csv")
    return folder / "moved/predictions.csv", folders


def compare_scan(results: Path, folder: Path, series: str) -> None:
    """The groups, their readers and the labels of a scan are those of the outlines."""
    ours, theirs = (one_scan.nodules(path, series) for path in (folder, results))
    tables = [pd.read_csv(files["findings"]) for files in (ours, theirs)]
    drawn = tables[1]["kind"].isin(["nodule", "below_level"])  # masks have no points
    pd.testing.assert_frame_equal(tables[0], tables[1][drawn], check_dtype=False, rtol=1e-9)
    arrays, expected = (dict(np.load(files["nodules"])) for files in (ours, theirs))
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(arrays[name], array), name
    for name in ("volume", "mask"):
        path, other = (one_scan.volume(path, series)[name] for path in (folder, results))
        assert np.array_equal(np.load(path), np.load(other)), name
