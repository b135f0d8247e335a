"""Enhanced multi-frame CT: the frames' geometry and rescaling through functional groups."""

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from chest import sample, turned_affine, write_dicom
from dicom_files import AXIAL, item, write_enhanced
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid

from nodulenet.files import InputError
from nodulenet.imaging import find_series, read_geometry, read_scanner, read_volume

ORDER = (3, 0, 4, 1, 2)  # the heights of the frames, in slices
C, S = np.cos(0.3), np.sin(0.3)


@pytest.fixture
def stored():
    return np.random.default_rng(4).integers(0, 3000, (5, 4, 6)).astype(np.int16)


def positions(orientation=AXIAL, order=ORDER):
    normal = np.cross(*np.array(orientation, float).reshape(2, 3))
    return [np.array([10.0, 20.0, 30.0]) + 2 * k * normal for k in order]


def edit(folder, change):
    (path,) = folder.iterdir()
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)


@pytest.mark.parametrize(
    "orientation",
    [AXIAL, (1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0), (C, S, 0, -S, C, 0), (0, 1, 0, 0, 0, -1)],
    ids=["axial", "upside down", "mirrored", "oblique", "sagittal"],
)
def test_every_voxel_is_where_its_frame_says(tmp_path, stored, orientation):
    write_enhanced(tmp_path / "e.dcm", stored, positions(orientation), orientation)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    along_x, along_y = np.array(orientation, float).reshape(2, 3)
    for frame, start in zip(stored, positions(orientation), strict=True):
        z, y, x = volume.to_voxel(start + 0.7 * 5 * along_x + 0.8 * 3 * along_y)
        assert (y, x) == pytest.approx((3, 5), abs=1e-6)
        assert z == pytest.approx(round(z), abs=1e-6)
        assert np.array_equal(volume.array[round(z)], frame - 1024)
    step = volume.affine[:3, 0]
    assert step[np.abs(step).argmax()] == pytest.approx(np.abs(step).max())
    affine, shape = read_geometry(tmp_path)
    assert np.array_equal(affine, volume.affine)
    assert shape == volume.array.shape


def test_each_frame_has_its_own_rescale(tmp_path, stored):
    numbers = [(1, -1024), (2, 0), (1, -1000), (0.5, 3), (1, 0)]
    write_enhanced(tmp_path / "e.dcm", stored, positions(), rescale=numbers)
    volume = read_volume(tmp_path)
    for frame, height, (slope, intercept) in zip(stored, ORDER, numbers, strict=True):
        assert np.array_equal(volume.array[height], frame * np.float32(slope) + intercept)


def test_a_series_of_several_files_of_frames(tmp_path, stored):
    for name, own in (("a", [0, 1, 2]), ("b", [3, 4])):
        places = [positions()[k] for k in own]
        write_enhanced(tmp_path / f"{name}.dcm", stored[own], places)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, stored[np.argsort(ORDER)] - 1024)


def test_frames_written_by_highdicom(tmp_path):
    """The same series in single slices and as a legacy converted enhanced image."""
    volume = sample(turned_affine(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)))
    slices = write_dicom(tmp_path / "single", volume)
    for data in slices:
        data.AcquisitionNumber = 1
    image = LegacyConvertedEnhancedCTImage(slices, "1.2.826.77.9", 5, generate_uid(), 1)
    (tmp_path / "many").mkdir()
    image.save_as(tmp_path / "many" / "e.dcm")
    single, many = (read_volume(tmp_path / name) for name in ("single", "many"))
    assert np.array_equal(single.array, many.array)
    assert np.array_equal(single.affine, many.affine)


def test_the_example_of_pydicom(tmp_path):
    """`pip install pydicom-data`, or NODULENET_ECT names the file."""
    path = os.environ.get("NODULENET_ECT")
    if path is None:
        path = pytest.importorskip("data_store").__path__[0] + "/data/eCT_Supplemental.dcm"
    shutil.copy(Path(path), tmp_path)
    volume = read_volume(tmp_path)
    data = pydicom.dcmread(path)
    assert np.array_equal(volume.array, data.pixel_array.astype(int) - 1024)
    assert np.array_equal(
        volume.affine,
        [[0, 0, -0.388672, 99.5], [0, 0.388672, 0, -301.5], [10, 0, 0, -159], [0, 0, 0, 1]],
    )
    scanner = read_scanner(tmp_path, data.SeriesInstanceUID)
    assert scanner == {
        "manufacturer": "Acme Medical Devices",
        "model": "Super Dooper Scanner",
        "slice_thickness_mm": 10,
    }


def test_compressed_frames(tmp_path, stored):
    """RLE is read by pydicom, JPEG 2000 by SimpleITK, a frame at a time; rescaling by neither."""
    stored = np.kron(stored, np.ones((16, 16), np.int16))
    numbers = [(1, -1024), (1, 0), (1, -1000), (1, 3), (2, 0)]
    plain = write_enhanced(tmp_path / "e.dcm", stored, positions(), rescale=numbers)
    hu = read_volume(tmp_path).array
    plain.compress(RLELossless)
    plain.save_as(tmp_path / "e.dcm")
    assert np.array_equal(read_volume(tmp_path).array, hu)
    packed = []
    for frame in stored:
        image = sitk.GetImageFromArray(frame[None])
        writer = sitk.ImageFileWriter()
        writer.SetUseCompression(True)
        writer.SetFileName(str(tmp_path / "frame.dcm"))
        writer.Execute(image)
        packed += generate_frames(pydicom.dcmread(tmp_path / "frame.dcm").PixelData)
    (tmp_path / "frame.dcm").unlink()
    plain.file_meta.TransferSyntaxUID = JPEG2000Lossless
    plain.PixelData = encapsulate(packed)
    plain.save_as(tmp_path / "e.dcm")
    assert np.array_equal(read_volume(tmp_path).array, hu)


def test_a_localizer_frame_is_left_out(tmp_path, stored, caplog):
    write_enhanced(tmp_path / "e.dcm", stored, positions())

    def change(data):
        frame = data.PerFrameFunctionalGroupsSequence[2]  # the highest
        kind = item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
        frame.CTImageFrameTypeSequence = [kind]

    edit(tmp_path, change)
    assert np.array_equal(read_volume(tmp_path).array, (stored[np.argsort(ORDER)] - 1024)[:4])
    assert "skipped 1 file: 1 of 5 frames: a localizer (e.dcm)" in caplog.text


def faults():
    def positions_gone(data):
        del data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence

    def groups_gone(data):
        del data.PerFrameFunctionalGroupsSequence
        del data.SharedFunctionalGroupsSequence

    def frame_gone(data):
        del data.PerFrameFunctionalGroupsSequence[-1]

    def rescale_gone(data):
        del data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence

    def gap(data):
        place = data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0]
        place.ImagePositionPatient = [10, 20, 46]

    def double(data):
        place = data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0]
        place.ImagePositionPatient = [10, 20, 30]

    def turned(data):
        frame = data.PerFrameFunctionalGroupsSequence[0]
        frame.PlaneOrientationSequence = [item(ImageOrientationPatient=[0, 1, 0, 1, 0, 0])]

    def cut(data):
        data.PixelData = data.PixelData[:-48]

    def units(data):
        group = data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
        group.RescaleType = "Z_EFF"

    return {
        positions_gone: r"e\.dcm: frame 2: has no PlanePositionSequence",
        groups_gone: r"e\.dcm: multi-frame \(NumberOfFrames 5\) without PerFrameFunctional",
        frame_gone: r"NumberOfFrames is 5, PerFrameFunctionalGroupsSequence has 4 items",
        rescale_gone: r"frame 1: has no PixelValueTransformationSequence",
        gap: r"4 slices missing between e\.dcm frame 1 and e\.dcm frame 3: 10 mm",
        double: r"e\.dcm frame 2 and e\.dcm frame 3 lie at the same position",
        turned: r"e\.dcm frame 2 and e\.dcm frame 1 differ in orientation",
        cut: r"e\.dcm: its pixels cannot be read",
        units: r"no CT slice.*its values are Z_EFF \(RescaleType\), not HU",
    }


@pytest.mark.parametrize(
    ("change", "fault"), faults().items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_frames_at_fault(tmp_path, stored, change, fault):
    write_enhanced(tmp_path / "e.dcm", stored, positions())
    edit(tmp_path, change)
    with pytest.raises(InputError, match=fault):
        read_volume(tmp_path, "1.2.3")
    if change.__name__ not in ("cut", "units"):
        found, unusable = find_series(tmp_path)
        said = [series.fault for series in found] + [reason for _, reason in unusable]
        assert len(said) == 1
        with pytest.raises(InputError) as caught:
            read_geometry(tmp_path, "1.2.3")
        assert str(caught.value).endswith(said[0])
