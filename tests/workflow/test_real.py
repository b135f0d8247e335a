"""Two real DICOM scans of LIDC-IDRI and their XML through the whole DAG."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import running

from nodulenet.cli import main
from nodulenet.imaging import Volume
from nodulenet.imaging.store import open_scan

pytestmark = pytest.mark.slow

# The LUNA16 challenge's nodule of patient 0001, world mm.
NODULE_0001 = (56.208, 86.343, -115.868)


def test_real_scans(fresh: Path, lidc_scan: Callable[[str], Path]) -> None:
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
