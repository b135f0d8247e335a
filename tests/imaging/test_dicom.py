"""DICOM series written by pydicom, and the two real ones."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import (
    JPEG2000Lossless,
    RLELossless,
)

from nodulenet.files import InputError
from nodulenet.imaging import find_series, read_geometry, read_scanner, read_volume

AXIAL = (1, 0, 0, 0, 1, 0)
C, S = np.cos(0.3), np.sin(0.3)
ORIENTATIONS = {
    "axial": AXIAL,
    "turned": (-1, 0, 0, 0, -1, 0),
    "upside down": (1, 0, 0, 0, -1, 0),
    "mirrored": (-1, 0, 0, 0, 1, 0),
    "oblique": (C, S, 0, -S, C, 0),
    "tilted": (1, 0, 0, 0, C, S),
    "sagittal": (0, 1, 0, 0, 0, -1),
}


@pytest.mark.parametrize("kind", ORIENTATIONS)
def test_every_voxel_is_where_its_header_says(tmp_path, kind, write_series):
    orientation = ORIENTATIONS[kind]
    stored = write_series(tmp_path, orientation=orientation)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    along_x, along_y = np.array(orientation, float).reshape(2, 3)
    for path in tmp_path.iterdir():
        data = pydicom.dcmread(path)
        at = np.array(data.ImagePositionPatient, float) + 0.7 * 5 * along_x + 0.8 * 3 * along_y
        z, y, x = volume.to_voxel(at)
        assert (y, x) == pytest.approx((3, 5), abs=1e-6)
        assert z == pytest.approx(round(z), abs=1e-6)
        assert np.array_equal(volume.array[round(z)], data.pixel_array - 1024)
    step = volume.affine[:3, 0]
    assert step[np.abs(step).argmax()] > 0
    assert sorted(volume.array[:, 0, 0]) == sorted(stored[:, 0, 0] - 1024)
    affine, shape = read_geometry(tmp_path)
    assert np.array_equal(affine, volume.affine)
    assert shape == volume.array.shape


def test_axial_z_rises_whatever_the_files_say(tmp_path, write_series):
    stored = write_series(tmp_path, orientation=(1, 0, 0, 0, -1, 0))
    volume = read_volume(tmp_path)
    # the normal points down: the first height has the highest z
    assert np.array_equal(volume.array, stored[::-1] - 1024)
    assert volume.slice_z().tolist() == [22, 24, 26, 28, 30]


def test_each_slice_has_its_own_rescale(tmp_path, write_slice):
    pixels = np.full((2, 2), 100, np.int16)
    write_slice(tmp_path / "a.dcm", pixels, (0, 0, 0), RescaleSlope=2, RescaleIntercept=-50)
    write_slice(tmp_path / "b.dcm", pixels, (0, 0, 1), RescaleSlope="0.5", RescaleIntercept=7)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.float32
    assert volume.array[:, 0, 0].tolist() == [150, 57]


def test_unsigned_and_padding(tmp_path, write_slice):
    signed, unsigned = np.array([[-2000, 5]], np.int16), np.array([[0, 4095]], np.uint16)
    data = write_slice(tmp_path / "a.dcm", signed, (0, 0, 0))
    data.add_new("PixelPaddingValue", "US", 63536)  # as scanners do, on signed data
    data.save_as(tmp_path / "a.dcm")
    write_slice(tmp_path / "b.dcm", unsigned, (0, 0, 1))
    assert read_volume(tmp_path).array.tolist() == [[[-3024, -1019]], [[-1024, 3071]]]


def write_jpeg2000(source, path):
    """The same slice, losslessly compressed; SimpleITK writes 16 bits without an intercept only."""
    data = pydicom.dcmread(source)
    image = sitk.GetImageFromArray(data.pixel_array[None])
    image.SetMetaData("0008|0060", "CT")
    writer = sitk.ImageFileWriter()
    writer.SetUseCompression(True)
    writer.SetFileName(str(path))
    writer.Execute(image)
    packed = pydicom.dcmread(path)
    assert packed.file_meta.TransferSyntaxUID == JPEG2000Lossless
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    data.PixelData = packed.PixelData
    data["PixelData"].is_undefined_length = True
    data.save_as(path)


def test_compressed_slices(tmp_path, write_series):
    """RLE is read by pydicom, JPEG 2000 by SimpleITK: both give the same HU."""
    stored = write_series(tmp_path / "plain", size=(64, 64))
    for name in ("rle", "jpeg"):
        (tmp_path / name).mkdir()
    for path in (tmp_path / "plain").iterdir():
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(tmp_path / "rle" / path.name)
        write_jpeg2000(path, tmp_path / "jpeg" / path.name)
    for name in ("plain", "rle", "jpeg"):
        assert np.array_equal(read_volume(tmp_path / name).array, stored - 1024)


def test_two_series(tmp_path, write_series, write_slice):
    stored = write_series(tmp_path)
    for k in range(3):
        write_slice(tmp_path / f"x{k}.dcm", np.zeros((9, 9), np.int16), (0, 0, k), series="1.2.9")
    with pytest.raises(InputError, match=r"2 series, name one of 1\.2\.3, 1\.2\.9"):
        read_volume(tmp_path)
    assert np.array_equal(read_volume(tmp_path, "1.2.3").array, stored - 1024)
    assert read_volume(tmp_path, "1.2.9").array.shape == (3, 9, 9)
    with pytest.raises(InputError, match=r"no series 1\.2\.4, but 1\.2\.3, 1\.2\.9"):
        read_volume(tmp_path, "1.2.4")


def test_missing_slice(tmp_path, write_series):
    write_series(tmp_path, heights=(0, 2, 4, 8, 10))
    with pytest.raises(InputError, match=r"1 slice missing between \d\.dcm and \d\.dcm: 4 mm"):
        read_volume(tmp_path)


def test_doubled_slice_names_both_files(tmp_path, write_series):
    write_series(tmp_path)
    data = pydicom.dcmread(tmp_path / "0.dcm")
    data.SOPInstanceUID += ".1"
    data.save_as(tmp_path / "copy.dcm")
    with pytest.raises(InputError, match=r"(?=.*copy\.dcm)(?=.* 0\.dcm).* the same position"):
        read_volume(tmp_path)


def test_uneven_but_rounded_positions_pass(tmp_path, write_series):
    write_series(tmp_path, heights=(0, 0.6, 1.3, 1.9, 2.5))
    volume = read_volume(tmp_path)
    assert volume.spacing[0] == pytest.approx(0.625)


def test_creeping_positions_do_not(tmp_path, write_series):
    write_series(tmp_path, heights=(0, 1, 2.3, 3.6, 4.9, 5.5, 6, 6.5))
    with pytest.raises(InputError, match="unevenly spaced"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "orientation"),
        ({"PixelSpacing": [0.8, 0.71]}, "pixel spacing"),
        ({"ImagePositionPatient": [15, 20, 40]}, "tilted gantry or a shifted slice"),
        ({"Modality": "SEG"}, "modality is SEG"),
        ({"NumberOfFrames": 2}, "multi-frame"),
        ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
        ({"ImagePositionPatient": [1, 2]}, "its ImagePositionPatient has 2 values, not 3"),
        ({"PixelData": b"1234"}, "pixels cannot be read"),
    ],
)
def test_a_slice_unlike_the_others(tmp_path, tags, fault, write_series, write_slice):
    write_series(tmp_path)
    pixels = np.zeros((4, 6), np.int16)
    write_slice(tmp_path / "odd.dcm", pixels, (10, 20, 40), **tags)
    with pytest.raises(InputError, match=rf"(?=.*odd\.dcm).*{fault}") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)


def test_another_shape(tmp_path, write_series, write_slice):
    write_series(tmp_path)
    write_slice(tmp_path / "odd.dcm", np.zeros((4, 7), np.int16), (10, 20, 40))
    with pytest.raises(InputError, match=r"odd\.dcm .* differ in shape .*: \[4\.0, 7\.0\] and"):
        read_volume(tmp_path)


def test_other_files_of_the_folder(tmp_path, write_series):
    stored = write_series(tmp_path)
    (tmp_path / "reading.xml").write_text("<x/>")
    (tmp_path / "LICENSE").write_text("text")
    assert np.array_equal(read_volume(tmp_path).array, stored - 1024)
    (tmp_path / "0.dcm").unlink()
    (tmp_path / "0.dcm").symlink_to("gone")
    with pytest.raises(InputError, match=r"0\.dcm: a broken symbolic link"):
        read_volume(tmp_path)


def test_truncated_file(tmp_path, write_series):
    write_series(tmp_path)
    whole = (tmp_path / "2.dcm").read_bytes()
    (tmp_path / "2.dcm").write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"2\.dcm: its pixels cannot be read"):
        read_volume(tmp_path)
    (tmp_path / "2.dcm").write_bytes(whole[:300])
    with pytest.raises(InputError, match=r"2\.dcm"):
        read_volume(tmp_path)


def test_empty_folder_and_a_single_slice(tmp_path, write_slice):
    with pytest.raises(InputError, match=r"holds no CT slice$"):
        read_volume(tmp_path)
    write_slice(tmp_path / "a.dcm", np.zeros((2, 2), np.int16), (0, 0, 5))
    assert read_volume(tmp_path).spacing.tolist() == [2.5, 0.8, 0.7]
    write_slice(tmp_path / "a.dcm", np.zeros((2, 2), np.int16), (0, 0, 5), SliceThickness=None)
    with pytest.raises(InputError, match="a single slice without a usable SliceThickness"):
        read_volume(tmp_path)


@pytest.mark.parametrize(("patient", "slices"), [("0001", 133), ("0003", 140)])
def test_real_scans(lidc_scan, patient, slices):
    folder = lidc_scan(patient)
    found, unusable = find_series(folder)
    assert len(found) == 1
    assert not unusable
    assert found[0].patient_id == f"LIDC-IDRI-{patient}"
    volume = read_volume(found[0].path, found[0].series_uid)
    assert volume.array.shape == (slices, 512, 512)
    assert volume.array.dtype == np.int16
    assert np.allclose(np.diff(volume.slice_z()), 2.5)
    if patient == "0001":
        index = volume.to_voxel(np.array([56.208, 86.343, -115.868]))
        assert index == pytest.approx([89.65, 367.00, 316.03], abs=0.01)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(found[0].path))
    image = sitk.ReadImage([str(Path(name)) for name in names])
    assert np.array_equal(sitk.GetArrayViewFromImage(image), volume.array)
    assert np.allclose(image.GetOrigin(), volume.affine[:3, 3])


def test_the_scanner_is_what_the_first_slice_of_the_series_names(tmp_path, write_slice):
    pixels = np.zeros((2, 2), np.int16)
    tags = {"Manufacturer": " GE ", "ManufacturerModelName": "LightSpeed"}
    write_slice(tmp_path / "a.dcm", pixels, (0, 0, 0), series="1.2.9", Manufacturer="Other")
    write_slice(tmp_path / "b.dcm", pixels, (0, 0, 0), **tags)
    write_slice(tmp_path / "c.dcm", pixels, (0, 0, 2), SliceThickness=None)
    expected = {"manufacturer": "GE", "model": "LightSpeed", "slice_thickness_mm": 2.5}
    assert read_scanner(tmp_path, "1.2.3") == expected
    (tmp_path / "b.dcm").unlink()
    assert read_scanner(tmp_path, "1.2.3") == dict.fromkeys(expected)


def test_other_formats_name_no_scanner(tmp_path):
    (tmp_path / "a.mhd").write_text("Manufacturer = GE\n")
    names = ("manufacturer", "model", "slice_thickness_mm")
    assert read_scanner(tmp_path / "a.mhd", "1.2.3") == dict.fromkeys(names)
