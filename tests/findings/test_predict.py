"""A scan of a chest known as a formula: findings and masks lie where its nodules are."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from chest import (
    BALLS,
    NODULE_HU,
    ball,
    check_by_others,
    sample,
    turned_affine,
    write_dicom,
)

from nodulenet.files import InputError
from nodulenet.findings import predict
from nodulenet.findings.predict import OUTPUTS, predict_scan, replacing_results
from nodulenet.findings.scans import find_scans, slice_sources
from nodulenet.findings.threshold import Threshold
from nodulenet.imaging import Volume, read_volume, write_volume
from nodulenet.inference.predictor import ScanPrediction
from nodulenet.masks import CroppedMask

C, S = np.cos(0.3), np.sin(0.3)
# Columns: the directions of the slices, rows and columns of the array in LPS (x, y, z).
ROTATIONS = {
    "axial": [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    "feet first": [[0, 0, -1], [0, 1, 0], [-1, 0, 0]],
    "prone": [[0, 0, -1], [0, -1, 0], [1, 0, 0]],
    "oblique": [[0, -S, C], [0, C, S], [1, 0, 0]],
    "tilted": [[0, 0, 1], [-S, C, 0], [C, S, 0]],
}
HALF = Threshold(0.5, "given")


def check(output, volume):
    """Positions, sizes and masks of a predicted chest, against the formula."""
    table = pd.read_csv(output / "findings.csv")
    assert table["finding"].tolist() == [1, 2]
    image = sitk.ReadImage(str(output / "masks.nii.gz"))
    assert np.allclose(image.GetOrigin(), volume.affine[:3, 3], atol=1e-3)
    labels = sitk.GetArrayFromImage(image)
    assert labels.shape == volume.array.shape
    for number, (centre, radius) in enumerate(BALLS):
        row = table.iloc[number]
        assert row[["coordX", "coordY", "coordZ"]].tolist() == pytest.approx(centre, abs=1)
        assert row["diameter_mm"] == pytest.approx(2 * radius, abs=2.5)
        truth, mask = ball(volume.affine, volume.array.shape, number), labels == number + 1
        assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.85
        middle = volume.to_world(np.argwhere(mask).mean(axis=0))
        assert middle == pytest.approx(centre, abs=0.5)
        voxel = abs(np.linalg.det(volume.affine[:3, :3]))
        assert row["volume_mm3"] == pytest.approx(mask.sum() * voxel, rel=1e-3)
        assert row["mean_hu"] == pytest.approx(volume.array[mask].mean(), abs=0.01)
        assert row["mean_hu"] > NODULE_HU - 60
        at = int(row["slice"]) - 1
        assert row[["imageX", "imageY", "imageZ"]].tolist() == pytest.approx(
            volume.to_world(np.array([at, 0, 0])), abs=1e-3
        )
        pixel = np.rint([at, row["row"], row["column"]]).astype(int)
        assert mask[tuple(pixel)]


@pytest.mark.parametrize("kind", [name for name in ROTATIONS if name != "axial"])
def test_dicom_of_any_direction(tmp_path, detector, kind):
    write_dicom(tmp_path / "ct", sample(turned_affine(np.array(ROTATIONS[kind], float))))
    (scan,), _ = find_scans(tmp_path / "ct")
    content = predict_scan(scan, detector, HALF, tmp_path / "out")
    assert content["notes"] == []
    check(tmp_path / "out", read_volume(tmp_path / "ct"))


def test_axial_dicom(predicted):
    check(predicted.output, predicted.volume)
    assert {path.name for path in predicted.output.iterdir()} == set(OUTPUTS)
    content = json.loads((predicted.output / "findings.json").read_text())
    assert content == predicted.content
    assert set(content["files"]) == set(OUTPUTS)
    table = pd.read_csv(predicted.output / "findings.csv")
    assert list(table.columns) == list(content["findings"][0])
    by_uid = {str(data.SOPInstanceUID): data for data in predicted.slices}
    for row in content["findings"]:
        data = by_uid[row["sop_instance_uid"]]
        assert data.InstanceNumber == row["instance_number"]
        z = float(data.ImagePositionPatient[2])
        assert z == pytest.approx(row["imageZ"])
        assert abs(z - row["coordZ"]) <= predicted.volume.spacing[0] / 2


@pytest.mark.parametrize("name", ["flipped.mhd", "sagittal.nrrd", "flipped.nii.gz"])
def test_files_of_any_order(tmp_path, detector, name):
    volume = sample(turned_affine(np.array(ROTATIONS["axial"], float)))
    if name.startswith("sagittal"):  # slices run from left to right
        affine = volume.affine[:, [2, 0, 1, 3]]
        volume = Volume(np.ascontiguousarray(volume.array.transpose(2, 0, 1)), affine)
    else:  # as some LUNA16 headers: x and y run the other way, and here z too
        affine = volume.affine @ np.diag([-1.0, -1, -1, 1])
        affine[:3, 3] = volume.to_world(np.array(volume.array.shape) - 1)
        volume = Volume(np.ascontiguousarray(volume.array[::-1, ::-1, ::-1]), affine)
    write_volume(volume, tmp_path / name)
    (scan,), _ = find_scans(tmp_path / name)
    predict_scan(scan, detector, HALF, tmp_path / "out")
    check(tmp_path / "out", volume)
    assert not (tmp_path / "out/seg.dcm").exists()
    assert not (tmp_path / "out/sr.dcm").exists()


def test_without_findings_and_after_a_run_that_had_some(tmp_path, detector):
    write_dicom(tmp_path / "ct", sample(turned_affine(np.array(ROTATIONS["axial"], float))))
    (scan,), _ = find_scans(tmp_path / "ct")
    output = tmp_path / "out"
    predict_scan(scan, detector, HALF, output)
    content = predict_scan(scan, detector, Threshold(0.95, "given"), output)
    assert content["findings"] == []
    made = {path.name for path in output.iterdir()}
    assert (
        made
        == {"findings.csv", "findings.json", "masks.nii.gz", "overview.png", "report.html"}
        == set(content["files"])
    )
    assert len(pd.read_csv(output / "findings.csv")) == 0
    assert any("no seg.dcm" in note for note in content["notes"])


@pytest.mark.parametrize(
    ("step", "fault", "message"),
    [
        ("read_volume", InputError("x: sheared"), r"chest\.nii\.gz: series chest: x: sheared"),
        ("find_findings", ValueError("a fault of the program"), "a fault of the program"),
        ("write_finding_rows", OSError(28, "No space left on device"), "No space left on device"),
        (
            "write_page",
            InputError("p: not written"),
            r"chest\.nii\.gz: series chest: p: not written",
        ),
    ],
)
def test_a_failure_leaves_the_results_of_an_earlier_run(
    tmp_path, detector, monkeypatch, step, fault, message
):
    write_volume(
        sample(turned_affine(np.array(ROTATIONS["axial"], float))), tmp_path / "chest.nii.gz"
    )
    (scan,), _ = find_scans(tmp_path / "chest.nii.gz")
    output = tmp_path / "out"
    predict_scan(scan, detector, HALF, output)
    (output / "own.txt").write_text("the user's")
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    assert {"findings.json", "masks.nii.gz", "report.html"} < before.keys()

    def fail(*arguments, **options):
        raise fault

    monkeypatch.setattr(predict, step, fail)
    with pytest.raises(type(fault), match=message):
        predict_scan(scan, detector, Threshold(0.95, "given"), output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    with pytest.raises(type(fault), match=message):
        predict_scan(scan, detector, HALF, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_sheared_file_leaves_the_results_of_an_earlier_run(tmp_path, detector):
    volume = sample(turned_affine(np.array(ROTATIONS["axial"], float)))
    path = tmp_path / "chest.nrrd"
    write_volume(volume, path, compress=False)
    (scan,), _ = find_scans(path)
    predict_scan(scan, detector, HALF, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    head, end, data = path.read_bytes().partition(b"\n\n")
    lines = [
        b"space directions: (1.8,0,0) (0,2,0) (0.9,0,3)" if b"directions" in line else line
        for line in head.split(b"\n")
    ]
    path.write_bytes(b"\n".join(lines) + end + data)
    with pytest.raises(InputError, match=r"chest\.nrrd: sheared: its axes are 16\.7 degrees"):
        predict_scan(scan, detector, HALF, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_full_disk_names_the_file_in_the_output(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, replacing_results(tmp_path) as at:
        raise OSError(28, "No space left on device", str(at / "findings.csv"))
    assert caught.value.filename == str(tmp_path / "findings.csv")


def test_slices_that_cannot_be_referred_to(tmp_path, detector):
    written = write_dicom(
        tmp_path / "ct", sample(turned_affine(np.array(ROTATIONS["axial"], float)))
    )
    for data in written:
        del data.FrameOfReferenceUID
        data.save_as(data.filename)
    (scan,), _ = find_scans(tmp_path / "ct")
    content = predict_scan(scan, detector, HALF, tmp_path / "out")
    assert "no seg.dcm and no sr.dcm: a slice has no FrameOfReferenceUID" in content["notes"]
    assert "seg.dcm" not in content["files"]
    assert len(content["findings"]) == 2


def test_a_real_scan(lidc_scan, tmp_path, detector):
    """A mask planted in a real series comes back at its place; others' tools accept the objects."""
    planted = CroppedMask(np.ones((10, 12, 14), bool), (100, 60, 50))
    box = np.array([[104.5, 65.5, 56.5, 18, 20, 22]], np.float32)
    half = np.array([0.9], np.float32)
    one = ScanPrediction(box, half, box, half, np.array([True]), {0: planted})
    seen = replace(detector, predict=lambda volume, step: one)
    (scan,), passed = find_scans(lidc_scan("0001"))
    assert {reason.rpartition(": ")[2] for reason in passed} <= {"not an image of a known format"}
    content = predict_scan(scan, seen, HALF, tmp_path)
    assert content["notes"] == []
    (row,) = content["findings"]
    volume = read_volume(scan.path, scan.series_uid)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "masks.nii.gz")))
    middle = volume.to_world(np.argwhere(labels == 1).mean(axis=0))
    assert middle == pytest.approx([row[f"coord{axis}"] for axis in "XYZ"], abs=1.3)
    assert row["volume_mm3"] == pytest.approx(10 * 12 * 14, rel=0.1)
    headers = {s.sop_uid: s.header for s in slice_sources(scan)}
    assert headers[row["sop_instance_uid"]].ImagePositionPatient[2] == pytest.approx(row["imageZ"])
    for name in ("seg.dcm", "sr.dcm"):
        check_by_others(tmp_path / name)


def test_no_lungs(tmp_path, detector):
    write_volume(Volume(np.zeros((20, 40, 40), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    (scan,), _ = find_scans(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: series a: no lungs"):
        predict_scan(scan, detector, HALF, tmp_path / "out")


def test_images_that_are_not_in_hu(tmp_path, detector):
    """Refused where it is certain, a note where it is doubtful; nothing is added or taken away."""
    chest = sample(turned_affine(np.array(ROTATIONS["axial"], float)))
    write_volume(Volume(chest.array + np.int16(1024), chest.affine), tmp_path / "a.nii.gz")
    (scan,), _ = find_scans(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: series a: no lungs: .* may not be HU: none"):
        predict_scan(scan, detector, HALF, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write_volume(Volume(chest.array + np.int16(200), chest.affine), tmp_path / "b.nii.gz")
    (scan,), _ = find_scans(tmp_path / "b.nii.gz")
    content = predict_scan(scan, detector, HALF, tmp_path / "out")
    note = "its voxels may not be HU: median -650 in the lungs, 200 around them"
    assert any(line.startswith(note) for line in content["notes"])
    assert note in (tmp_path / "out/report.html").read_text()
