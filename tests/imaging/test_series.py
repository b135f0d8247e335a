"""Finding series below a folder."""

import numpy as np
import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation

from nodulenet.files import InputError
from nodulenet.imaging import FoundSeries, Volume, find_series, write_volume


@pytest.fixture
def volume():
    return Volume(np.zeros((2, 3, 4), np.int16), np.eye(4))


def test_every_file_is_found_or_listed(tmp_path, volume, write_series, write_slice):
    (tmp_path / "ct").mkdir()
    write_volume(volume, tmp_path / "ct" / "1.2.840.1.mhd")
    write_volume(volume, tmp_path / "ct" / "1.2.840.2.nii.gz")
    write_volume(volume, tmp_path / "ct" / "renamed.mhd", series_uid="1.2.840.3")
    write_volume(volume, tmp_path / "ct" / "renamed.nrrd", series_uid="1.2.840.4")
    write_volume(volume, tmp_path / "ct" / "scan.mhd")
    write_volume(volume, tmp_path / "ct" / "1.2.840.5.mhd")
    (tmp_path / "ct" / "1.2.840.5.raw").unlink()
    (tmp_path / "ct" / "orphan.raw").write_bytes(b"1234")
    write_series(tmp_path / "dicom")
    write_slice(tmp_path / "dicom" / "o.dcm", np.zeros((2, 2), np.int16), (0, 0, 0), series="1.2.9")
    write_slice(tmp_path / "dicom" / "dx", np.zeros((2, 2), np.int16), (0, 0, 0), Modality="DX",
                SOPClassUID=DigitalXRayImageStorageForPresentation)  # fmt: skip
    (tmp_path / "dicom" / "reading.xml").write_text("<x/>")
    (tmp_path / "dicom" / "broken.dcm").write_bytes(b"none")
    found, unusable = find_series(tmp_path)
    assert found == [
        FoundSeries("1.2.840.1", tmp_path / "ct" / "1.2.840.1.mhd", None),
        FoundSeries("1.2.840.2", tmp_path / "ct" / "1.2.840.2.nii.gz", None),
        FoundSeries("1.2.840.3", tmp_path / "ct" / "renamed.mhd", None),
        FoundSeries("1.2.840.4", tmp_path / "ct" / "renamed.nrrd", None),
        FoundSeries("1.2.3", tmp_path / "dicom", "P1"),
        FoundSeries("1.2.9", tmp_path / "dicom", "P1"),
    ]
    reasons = {path.name: reason for path, reason in unusable}
    assert set(reasons) == {"1.2.840.5.mhd", "scan.mhd", "orphan.raw", "broken.dcm", "dx"}
    assert reasons["1.2.840.5.mhd"] == "its data file 1.2.840.5.raw is missing"
    assert "no SeriesInstanceUID" in reasons["scan.mhd"]
    assert "known format" in reasons["orphan.raw"]
    assert "not a DICOM file" in reasons["broken.dcm"]
    assert "Digital X-Ray Image" in reasons["dx"]


def test_header_wins_over_the_name(tmp_path, volume):
    write_volume(volume, tmp_path / "1.2.1.mhd", series_uid="1.2.2")
    assert find_series(tmp_path)[0][0].series_uid == "1.2.2"


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="gone: no such folder"):
        find_series(tmp_path / "gone")
