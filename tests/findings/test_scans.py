"""Which files of an input are used and which are skipped."""

import numpy as np
import pytest
from chest import SERIES, sample, turned_affine, write_dicom
from pydicom.uid import PositronEmissionTomographyImageStorage

from nodulenet.files import InputError
from nodulenet.findings.scans import find_scans, slice_sources
from nodulenet.imaging import Volume, read_volume, write_volume

AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)


def block(shape=(4, 6, 8)):
    return Volume(np.zeros(shape, np.int16), np.eye(4)[[2, 1, 0, 3]])


def test_a_study_with_all_that_a_disc_holds(tmp_path):
    write_dicom(tmp_path / "s1", block(), "1.2.1")
    for data in write_dicom(tmp_path / "s1", block((2, 6, 8)), "1.2.2"):
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        data.save_as(data.filename)  # two of the first series' file names are replaced
    write_dicom(tmp_path / "s1/own", block(), "1.2.1.5")
    for data in write_dicom(tmp_path / "pet", block(), "1.2.3"):
        data.Modality, data.SOPClassUID = "PT", PositronEmissionTomographyImageStorage
        data.save_as(data.filename)
    (tmp_path / "readme.txt").write_text("x")
    scans, passed = find_scans(tmp_path)
    assert {scan.series_uid for scan in scans} == {"1.2.1", "1.2.1.5"}
    assert passed == [
        f"{tmp_path}: 1 file: not an image of a known format",
        f"{tmp_path}/pet: 4 files: Positron Emission Tomography Image Storage, not a CT image",
        f"{tmp_path}/s1: 2 files: a localizer",
    ]
    (scan,), passed = find_scans(tmp_path, "1.2.1.5")
    assert scan.path == tmp_path / "s1/own"
    assert f"{tmp_path}/s1: series 1.2.1: not the one asked for" in passed


def test_a_dicomdir_beside_the_slices_is_no_slice(tmp_path):
    write_dicom(tmp_path, block(), "1.2.1")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (scan,), passed = find_scans(tmp_path)
    assert len(slice_sources(scan)) == 4
    assert len(passed) == 1
    assert "1 file" in passed[0]


def test_headers_are_in_the_order_of_the_volume(tmp_path):
    volume = sample(turned_affine(AXIAL))
    write_dicom(tmp_path, volume)
    (scan,), _ = find_scans(tmp_path)
    assert scan.series_uid == SERIES
    heights = [float(s.header.ImagePositionPatient[2]) for s in slice_sources(scan)]
    assert heights == pytest.approx(volume.slice_z().tolist())


def test_a_file_is_named_by_its_header_or_its_name(tmp_path):
    write_volume(block(), tmp_path / "a.mhd", series_uid="1.2.9")
    write_volume(block(), tmp_path / "b.nii.gz")
    assert find_scans(tmp_path / "a.mhd")[0][0].series_uid == "1.2.9"
    assert find_scans(tmp_path / "b.nii.gz")[0][0].series_uid == "b"
    (tmp_path / "b.nii.gz").rename(tmp_path / "B.Nii.GZ")
    assert find_scans(tmp_path / "B.Nii.GZ")[0][0].series_uid == "B"
    with pytest.raises(InputError, match=r"is series 1\.2\.9, not 1\.2\.8"):
        find_scans(tmp_path / "a.mhd", "1.2.8")


def test_nothing_to_predict(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find_scans(tmp_path / "none")
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"a: no CT series$"):
        find_scans(tmp_path / "a")
    for number in range(5):
        (tmp_path / f"a/{number}").mkdir()
        (tmp_path / f"a/{number}/x.txt").write_text("x")
    with pytest.raises(InputError, match=r"no CT series \(skipped: .*; \.\.\.\)$"):
        find_scans(tmp_path / "a")
    write_dicom(tmp_path / "b", block(), "1.2.1")
    with pytest.raises(InputError, match=r"no series 1\.2\.7 \(skipped: .*1\.2\.1"):
        find_scans(tmp_path / "b", "1.2.7")
    with pytest.raises(InputError, match=r"000\.dcm: one DICOM file; name the folder"):
        find_scans(tmp_path / "b/000.dcm")
    write_dicom(tmp_path / "b/copy", block(), "1.2.1")
    with pytest.raises(
        InputError, match=r"b: 00(.)\.dcm and copy/00\1\.dcm lie at the same position"
    ):
        read_volume(tmp_path / "b")
    (scan,), _ = find_scans(tmp_path / "b")
    assert "lie at the same position" in scan.fault
