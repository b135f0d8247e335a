"""Where a voxel lies: format by orientation by variant, against positions worked by hand.

The stored voxel i = 3, j = 2, k = 1 (steps 0.7, 0.8 and 2.5 mm from the first one at 10, 20, 30)
holds 777, so 2.1, 1.6 and 2.5 mm along the three directions lead to it.
"""

import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_slice
from raw_images import Grid, write_meta, write_nifti, write_nrrd

from nodulenet.imaging import find_series, read_geometry, read_volume

# Directions of i, j, k in LPS, and the place of 777.
ORIENTATIONS = {
    "axial": ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], (12.1, 21.6, 32.5)),
    "z down": ([[1, 0, 0], [0, 1, 0], [0, 0, -1]], (12.1, 21.6, 27.5)),
    "y forward": ([[1, 0, 0], [0, -1, 0], [0, 0, 1]], (12.1, 18.4, 32.5)),
    "x right": ([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], (7.9, 21.6, 32.5)),
    "x right, y forward": ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], (7.9, 18.4, 32.5)),
    "coronal": ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], (12.1, 22.5, 28.4)),
    "sagittal": ([[0, 1, 0], [0, 0, -1], [1, 0, 0]], (12.5, 22.1, 28.4)),
    "oblique": ([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]], (10.72, 22.54, 32.5)),
    "tilted": ([[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]], (12.1, 19.78, 32.96)),
}
STORED = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
STORED[1, 2, 3] = 777


def slices(folder: Path, name: str = "s{}.raw") -> None:
    for number, plane in enumerate(STORED):
        (folder / name.format(number)).write_bytes(plane.astype("<i2").tobytes())


def nifti(name: str, *, half: bool = False, less: int = 0, **header: object):
    def write(folder: Path, grid: Grid) -> Path:
        stored = (STORED + less).astype(np.uint16) if less else STORED
        write_nifti(folder / name, stored * 2 if half else stored, grid, **header)
        return folder / name

    return write


def metres(folder: Path, grid: Grid) -> Path:
    small = Grid(
        grid.directions, tuple(s / 1000 for s in grid.steps), tuple(o / 1000 for o in grid.origin)
    )
    write_nifti(folder / "ct.nii", STORED, small, units=1)
    return folder / "ct.nii"


def meta(name: str, data: str | None = None, **header: object):
    def write(folder: Path, grid: Grid) -> Path:
        named = {"ElementDataFile": data} if data else {}
        write_meta(folder / name, STORED, grid, **named, **header)
        raw = b"\0" * 100 * ("HeaderSize" in header) + STORED.astype("<i2").tobytes()
        if data == "ct.zraw":
            (folder / data).write_bytes(zlib.compress(raw))
        elif data == "other name.bin":
            (folder / data).write_bytes(raw)
        else:
            slices(folder)
        return folder / name

    return write


def renamed(place: str, turn: str):
    """A MetaImage with older names of the keys."""

    def write(folder: Path, grid: Grid) -> Path:
        path = meta("ct.mha")(folder, grid)
        content = path.read_bytes().replace(b"TransformMatrix", turn.encode())
        path.write_bytes(content.replace(b"Offset", place.encode()))
        return path

    return write


def nrrd(name: str, **header: object):
    def write(folder: Path, grid: Grid) -> Path:
        write_nrrd(folder / name, STORED, grid, **header)
        (folder / "all.raw").write_bytes(STORED.astype("<i2").tobytes())
        slices(folder)
        return folder / name

    return write


def dicom(*, backwards: bool = False):
    def write(folder: Path, grid: Grid) -> Path:
        for number, plane in enumerate(STORED):
            position = np.array(grid.origin) + number * grid.edges[2]
            name = f"{(2 - number if backwards else number) * 7 % 5}.dcm"
            axes = grid.directions[:2].ravel()
            write_slice(folder / name, plane + np.int16(1024), position, axes)
        return folder

    return write


LIST = "LIST\ns0.raw\ns1.raw\ns2.raw"
FORMATS = {
    "nii sform": nifti("ct.nii"),
    "nii qform": nifti("ct.nii", sform=0, qform=1),
    "nii both": nifti("ct.nii", qform=1),
    "nii aligned": nifti("ct.nii", sform=2),
    "nii sform, other pixdim": nifti("ct.nii", pixdim=(2, 2, 2)),
    "nii big-endian": nifti("ct.nii", order=">"),
    "nii metres": metres,
    "nii fourth dimension of 1": nifti("ct.nii", sizes=(5, 4, 3, 1)),
    "nii slope": nifti("ct.nii", half=True, slope=0.5),
    "nii intercept": nifti("ct.nii", less=1024, inter=-1024),
    "nii slope 0": nifti("ct.nii", slope=0, inter=-1024),
    "nii slope NaN": nifti("ct.nii", slope=np.nan, inter=np.nan),
    "NIfTI-2": nifti("ct.nii", two=True, qform=1),
    "nii.gz": nifti("ct.nii.gz"),
    "NII.GZ": nifti("CT.NII.GZ"),
    "NII": nifti("CT.NII"),
    "mha": meta("ct.mha"),
    "MHA": meta("CT.MHA"),
    "mha big-endian": meta("ct.mha", BinaryDataByteOrderMSB="True"),
    "mha Position, Orientation": renamed("Position", "Orientation"),
    "mha Origin, Rotation": renamed("Origin", "Rotation"),
    "mhd": meta("ct.mhd", "other name.bin"),
    "MHD": meta("CT.MHD", "other name.bin"),
    "mhd HeaderSize": meta("ct.mhd", "other name.bin", HeaderSize="100"),
    "mhd HeaderSize -1": meta("ct.mhd", "other name.bin", HeaderSize="-1"),
    "mhd compressed": meta("ct.mhd", "ct.zraw", CompressedData="True"),
    "mhd LIST": meta("ct.mhd", LIST),
    "mhd LIST 2D": meta("ct.mhd", LIST.replace("LIST", "LIST 2D")),
    "mhd pattern": meta("ct.mhd", "s%d.raw 0 2 1"),
    "nrrd": nrrd("ct.nrrd"),
    "NRRD": nrrd("CT.NRRD"),
    "nrrd RAS": nrrd("ct.nrrd", space="right-anterior-superior"),
    "nrrd LAS": nrrd("ct.nrrd", space="LAS"),
    "nrrd big-endian": nrrd("ct.nrrd", endian="big"),
    "nrrd gzip": nrrd("ct.nrrd", encoding="gzip"),
    "nrrd detached": nrrd("ct.nrrd", data_file="all.raw"),
    "nrrd LIST": nrrd("ct.nrrd", data_file=LIST),
    "nrrd pattern": nrrd("ct.nrrd", data_file="s%d.raw 0 2 1"),
    "dicom": dicom(),
    "dicom backwards": dicom(backwards=True),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_voxel_lies_where_the_header_says(
    tmp_path: Path, kind: str, orientation: str
) -> None:
    directions, place = ORIENTATIONS[orientation]
    grid = Grid(np.array(directions, float))
    path = FORMATS[kind](tmp_path, grid)
    volume = read_volume(path)
    assert volume.array.dtype in (np.int16, np.float32)
    (at,) = np.argwhere(volume.array == 777)
    assert volume.to_world(at) == pytest.approx(place, abs=1e-4)
    places = dict(zip(volume.array.ravel().tolist(), np.ndindex(STORED.shape), strict=True))
    found = volume.to_world(np.array([places[value] for value in STORED.ravel().tolist()]))
    wanted = [grid.origin + np.array([i, j, k]) @ grid.edges for k, j, i in np.ndindex(3, 4, 5)]
    assert np.allclose(found, wanted, atol=1e-4, rtol=0)
    affine, shape = read_geometry(path)
    assert np.array_equal(affine, volume.affine)
    assert shape == volume.array.shape


@pytest.mark.parametrize("kind", ["mhd LIST", "mhd pattern", "nrrd LIST", "nrrd pattern"])
def test_data_files_belong_to_their_image(tmp_path: Path, kind: str) -> None:
    path = FORMATS[kind](tmp_path, Grid(np.eye(3)))
    path.rename(tmp_path / f"1.2.3{path.suffix}")
    (tmp_path / "all.raw").unlink(missing_ok=True)
    found, unusable = find_series(tmp_path)
    assert [series.series_uid for series in found] == ["1.2.3"]
    assert unusable == []
