"""Masks as annotations through the whole workflow: corrected predictions, and mixed cohorts."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pages
import pandas as pd
import pytest
import running
import SimpleITK as sitk
import tiny
import yaml
from chest import BALLS, SHAPE, ball, keep_segments, sample, turned_affine, write_dicom

pytestmark = pytest.mark.slow
AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
SHORT = copy.deepcopy(tiny.CONFIG["train"]) | {"evaluate": ["full"]}
SHORT["stages"]["full"]["epochs"] = 1
SCANS = [f"1.2.826.77.{number}" for number in range(1, 4)]


def correct(folder: Path, found: Path) -> None:
    """What a person does: the balls redrawn in two label maps, one segment of a SEG kept."""
    affine = turned_affine(AXIAL)
    for series, balls in ((SCANS[0], (0, 1)), (SCANS[1], (1,))):
        path = folder / f"{series}.nii.gz"
        image = sitk.ReadImage(str(path))
        labels = np.zeros(SHAPE, np.uint8)
        for label, number in enumerate(balls, 1):
            labels[ball(affine, SHAPE, number)] = label
        new = sitk.GetImageFromArray(labels)
        new.CopyInformation(image)
        sitk.WriteImage(new, str(path))
    (folder / f"{SCANS[2]}.nii.gz").unlink()
    keep_segments(found / SCANS[2] / "seg.dcm", folder / "from_ohif.dcm", {1})


def test_corrected_predictions_are_trained_on(fresh: Path, first_run: Path) -> None:
    """The commands of the page, one after the other, on three chests."""
    for number, series in enumerate(SCANS):
        slices = write_dicom(fresh / f"data/ct/{number}", sample(turned_affine(AXIAL)), series)
        for data in slices:
            data.PatientID = f"P{number}"
            data.save_as(data.filename)
    shutil.copy(first_run / "results/tiny/fold0/full/weights.pt", fresh)
    page = pages.ROOT / "docs/correct.md"
    ((_, text),) = pages.fenced(page, "yaml")
    # On the scans' own grid there is a tenth of the voxels, where it marks thousands of places.
    own = {"train": SHORT, "preprocess": {"resample": False}}
    settings = tiny.CONFIG | yaml.safe_load(text) | own
    (fresh / "corrected.yaml").write_text(yaml.safe_dump(settings))
    shutil.copy(pages.ROOT / "lidc.yaml", fresh)
    for block in pages.blocks():
        if block.page == "docs/correct.md":
            for command in block.commands:
                # The network has hardly learned anything: it marks a hundred places with 0.5.
                less = command.replace("--output found", "--output found --threshold 0.62")
                printed = pages.shell(less, fresh)
            if "cp " in block.commands[-1]:
                correct(fresh / "corrected", fresh / "found")
            if "index" in block.commands[-1]:
                assert "in its config:\n  annotations: masks\n" in printed
    results = fresh / "results/corrected"
    manifest = pd.read_csv(results / "manifest.tsv", sep="\t").set_index("series_uid")
    assert manifest["n_nodules"].to_dict() == {SCANS[0]: 2, SCANS[1]: 1, SCANS[2]: 1}
    own = pd.read_csv(results / manifest.loc[SCANS[0], "findings"])
    for (centre, radius), row in zip(BALLS, own.itertuples(), strict=True):
        at = np.array([row.centroidX, row.centroidY, row.centroidZ])
        assert np.linalg.norm(at - centre) < 0.5
        assert row.equivalent_diameter_mm == pytest.approx(2 * radius, rel=0.05)
    assert (results / "report.html").exists()
    scored = pd.read_csv(results / "full/segmentation.csv")
    assert len(scored) == 4


def test_outlines_masks_and_positions_in_one_cohort(fresh: Path) -> None:
    """The first scan has XML, the second masks of two readers, the third a row of a table."""
    table = pd.read_csv(fresh / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    (fresh / "data/nodules.csv").write_text(tiny.draw_table())
    for reader in (1, 2):
        labels = np.zeros(tiny.SHAPE, np.int16)
        for centre, radius in tiny.NODULES[tiny.SERIES[1]]:
            labels[tiny.draw_ball(centre, radius)] = 1
        tiny.write_mhd(fresh / f"data/rad{reader}.mhd", labels)
    cells = {1: "data/rad1.mhd; data/rad2.mhd", 2: "data/nodules.csv"}
    for row, cell in cells.items():
        table.loc[row, "annotations"] = cell
    table.to_csv(fresh / "scans.tsv", sep="\t", index=False)
    running.configure(fresh, annotations="mixed", consensus={"level": 2}, train=SHORT)
    running.run(fresh, "--cores", "2", "results/tiny/full/segmentation.csv")
    results = fresh / "results/tiny"
    manifest = pd.read_csv(results / "manifest.tsv", sep="\t").set_index("series_uid")
    assert manifest["n_nodules"].tolist()[1:] == [1, 1, 0]
    assert manifest["rows_matched"].tolist() == [0, 0, 1, 0]
    scored = pd.read_csv(results / "full/segmentation.csv")
    assert set(scored["series_uid"]) == {tiny.SERIES[0], tiny.SERIES[1]}
    # Changed voxels of a mask are noticed.
    raw = fresh / "data/rad2.raw"
    raw.write_bytes(raw.read_bytes()[::-1])
    assert f"read the annotations of scan {tiny.SERIES[1]}" in running.plan(
        fresh, "results/tiny/full/segmentation.csv"
    )
