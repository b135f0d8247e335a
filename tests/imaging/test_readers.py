"""Image files: there and back, and broken ones."""

import gzip
import resource
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nodulenet.files import InputError
from nodulenet.imaging import Volume, read_geometry, read_volume, write_volume

C, S = np.cos(0.3), np.sin(0.3)
AFFINES = {
    "straight": [[0, 0, 0.7, -120.5], [0, 0.8, 0, 31], [2.5, 0, 0, -300], [0, 0, 0, 1]],
    "flipped": [[0, 0, -0.7, 120.5], [0, -0.8, 0, 31], [2.5, 0, 0, -300], [0, 0, 0, 1]],
    "left-handed": [[0, 0, 0.7, 120.5], [0, 0.8, 0, 31], [-2.5, 0, 0, -300], [0, 0, 0, 1]],
    "oblique": [[0, -0.8 * S, 0.7 * C, 1], [0, 0.8 * C, 0.7 * S, 2], [2.5, 0, 0, 3], [0, 0, 0, 1]],
    "sagittal": [[3, 0, 0, 1], [0, 0, 0.7, 2], [0, -0.7, 0, 3], [0, 0, 0, 1]],
}
NAMES = ["ct.mhd", "ct.mha", "ct.nii", "ct.nii.gz", "ct.nrrd"]


@pytest.fixture
def volume():
    array = np.random.default_rng(0).integers(-1024, 3000, (5, 6, 7)).astype(np.int16)
    return Volume(array, np.array(AFFINES["straight"]))


@pytest.mark.parametrize("kind", AFFINES)
@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path, volume, name, kind):
    volume = Volume(volume.array, np.array(AFFINES[kind]))
    write_volume(volume, tmp_path / name)
    again = read_volume(tmp_path / name)
    assert again.array.dtype == np.int16
    assert np.array_equal(again.array, volume.array)
    assert np.allclose(again.affine, volume.affine, atol=1e-4)
    affine, shape = read_geometry(tmp_path / name)
    assert np.array_equal(affine, again.affine)
    assert shape == (5, 6, 7)


@pytest.mark.parametrize("name", ["ct.mhd", "ct.mha", "ct.nrrd", "ct.nii"])
@pytest.mark.parametrize("compress", [True, False])
def test_compressed_or_not_and_nothing_else_is_left(tmp_path, volume, name, compress):
    write_volume(volume, tmp_path / name, compress=compress)
    assert np.array_equal(read_volume(tmp_path / name).array, volume.array)
    data = {"ct.zraw" if compress else "ct.raw"} if name == "ct.mhd" else set()
    assert {path.name for path in tmp_path.iterdir()} == {name, *data}


@pytest.mark.parametrize("kind", ["uint8", "bool", "uint16", "float32"])
@pytest.mark.parametrize("name", ["ct.mhd", "ct.nii.gz"])
def test_types(tmp_path, name, kind):
    array = (np.arange(24).reshape(2, 3, 4) / 2).astype(kind)
    write_volume(Volume(array, np.eye(4)), tmp_path / name)
    again = read_volume(tmp_path / name).array
    assert again.dtype == (np.float32 if kind == "float32" else np.int16)
    assert np.array_equal(again, array)


def test_values_beyond_int16_are_kept(tmp_path):
    array = np.array([[[0, 65535]]], np.uint16)
    write_volume(Volume(array, np.eye(4)), tmp_path / "ct.mha")
    assert np.array_equal(read_volume(tmp_path / "ct.mha").array, array)


def test_simpleitk_agrees_on_the_place(tmp_path, volume):
    volume = Volume(volume.array, np.array(AFFINES["oblique"]))
    write_volume(volume, tmp_path / "ct.mhd")
    image = sitk.ReadImage(str(tmp_path / "ct.mhd"))
    assert image[4, 3, 2] == volume.array[2, 3, 4]
    point = image.TransformIndexToPhysicalPoint((4, 3, 2))
    assert np.allclose(point, volume.to_world(np.array([2, 3, 4])))


def test_nifti_world_is_lps(tmp_path):
    """A NIfTI whose header says x = right +5, y = anterior +7 (RAS) lies at LPS (-5, -7)."""
    image = sitk.GetImageFromArray(np.zeros((2, 2, 2), np.int16))
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    rows = np.array([[1, 0, 0, 5], [0, 1, 0, 7], [0, 0, 1, 9]], "<f4")
    raw[252:256] = np.array([0, 1], "<i2").tobytes()  # no qform; sform: scanner coordinates
    raw[280:328] = rows.tobytes()
    (tmp_path / "b.nii").write_bytes(raw)
    affine = read_volume(tmp_path / "b.nii").affine
    assert affine[:3, 3].tolist() == [-5, -7, 9]
    assert affine[:3, 2].tolist() == [-1, 0, 0]


def test_skew_axes_are_not_written(tmp_path, volume):
    skew = volume.affine.copy()
    skew[0, 0] = 0.5
    with pytest.raises(InputError, match="right angles"):
        write_volume(Volume(volume.array, skew), tmp_path / "ct.mhd")
    assert not list(tmp_path.iterdir())


def test_series_uid_of_the_header_is_compared(tmp_path, volume):
    write_volume(volume, tmp_path / "ct.mhd", series_uid="1.2.3")
    assert read_volume(tmp_path / "ct.mhd", "1.2.3").array.shape == (5, 6, 7)
    with pytest.raises(InputError, match=r"ct\.mhd: its header names series 1\.2\.3"):
        read_volume(tmp_path / "ct.mhd", "1.2.4")


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def scramble(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2 + 100
    raw[middle : middle + 30] = bytes(30)
    path.write_bytes(raw)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compress", [True, False])
def test_truncated(tmp_path, volume, name, compress):
    write_volume(volume, tmp_path / name, compress=compress)
    data = {"ct.mhd": "ct.zraw" if compress else "ct.raw"}.get(name, name)
    shorten(tmp_path / data)
    with pytest.raises(InputError, match=rf"{data}: ") as caught:
        read_volume(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ct.mhd", "ct.mha", "ct.nii.gz", "ct.nrrd"])
def test_corrupt_compressed_data(tmp_path, name):
    array = np.random.default_rng(1).integers(-1024, 3000, (9, 30, 30)).astype(np.int16)
    write_volume(Volume(array, np.eye(4)), tmp_path / name, compress=True)
    scramble(tmp_path / ("ct.zraw" if name == "ct.mhd" else name))
    with pytest.raises(InputError, match="cut short or corrupt"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("ElementDataFile = ct.raw", "ElementDataFile = gone.raw"), "gone.raw is missing"),
        (("DimSize = 7 6 5", "DimSize = 7 6 4"), "420 bytes of data, its header says 336"),
        (("DimSize = 7 6 5", "DimSize = 7 six 5"), "bad number"),
        (("ElementSpacing", "Elementspacing"), "no ElementSpacing"),
        (("MET_SHORT", "MET_SHORTS"), "MET_SHORTS is not known"),
        (("ElementDataFile", "DataFile"), "no ElementDataFile"),
        (("ElementSpacing = 0.7", "ElementSpacing = 0"), "spacing"),
    ],
)
def test_bad_mhd_header(tmp_path, volume, change, fault):
    write_volume(volume, tmp_path / "ct.mhd")
    text = (tmp_path / "ct.mhd").read_text()
    assert change[0] in text
    (tmp_path / "ct.mhd").write_text(text.replace(*change))
    with pytest.raises(InputError, match=rf"{tmp_path}.*{fault}"):
        read_volume(tmp_path / "ct.mhd")


def test_wrong_kinds_of_image(tmp_path):
    flat = sitk.GetImageFromArray(np.zeros((4, 5), np.int16))
    sitk.WriteImage(flat, str(tmp_path / "flat.mha"))
    colour = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.int16), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "colour.mha"))
    empty = Volume(np.full((2, 2, 2), np.nan, np.float32), np.eye(4))
    write_volume(empty, tmp_path / "nan.mha")
    (tmp_path / "ct.nii").write_bytes(b"no header")
    (tmp_path / "gz.nii.gz").write_bytes(b"no gzip")
    (tmp_path / "zip.nii.gz").write_bytes(gzip.compress(b"no header"))
    (tmp_path / "ct.nrrd").write_text("no header\n")
    (tmp_path / "ct.png").write_bytes(b"")
    for name, fault in {
        "flat.mha": "2 dimensions",
        "colour.mha": "3 numbers per voxel",
        "nan.mha": "not numbers",
        "ct.nii": "NIfTI",
        "gz.nii.gz": "corrupt",
        "zip.nii.gz": "NIfTI",
        "ct.nrrd": "header",
        "ct.png": "known format",
        "gone.mhd": "no such file",
    }.items():
        with pytest.raises(InputError, match=rf"{name}: .*{fault}") as caught:
            read_volume(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="format"):
        write_volume(empty, tmp_path / "ct.png")


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, name):
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40)).astype(np.int16)
    volume = Volume(array, np.array(AFFINES["straight"]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError):  # noqa: PT011 - the system's message differs by format
            write_volume(volume, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
