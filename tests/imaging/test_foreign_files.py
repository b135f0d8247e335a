"""Headers that say two things, too little, or what cannot be: refused, or read and told."""

import logging
from pathlib import Path

import numpy as np
import pytest
from raw_images import Grid, write_meta, write_nifti, write_nrrd

from nodulenet.files import InputError
from nodulenet.imaging import read_geometry, read_volume
from nodulenet.imaging.orientation import largest_shift, square_axes

STORED = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
PLAIN = Grid(np.eye(3))
# Steps of i, j, k in LPS: the third leans 0.3 mm per mm along x, 16.7 degrees.
SHEARED = np.array([[1.0, 0, 0], [0, 1, 0], [0.3, 0, 1]])
SROW = np.array([[-0.7, 0, 0, -10], [0, -0.8, 0, -20], [0, 0, 2.5, 30]])  # PLAIN in RAS


def refused(path: Path, fault: str) -> None:
    for read in (read_volume, read_geometry):
        with pytest.raises(InputError, match=fault) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def told(caplog: pytest.LogCaptureFixture, path: Path) -> list[str]:
    """What reading says of a file, without its name."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        read_volume(path)
    assert all(line.startswith(f"{path}: ") for line in caplog.messages)
    return [line.removeprefix(f"{path}: ") for line in caplog.messages]


def meta(folder: Path, name: str = "ct.mha", grid: Grid = PLAIN, **header: str | None) -> Path:
    write_meta(folder / name, STORED, grid, **header)
    return folder / name


def nifti(folder: Path, **header: object) -> Path:
    write_nifti(folder / "ct.nii", STORED, PLAIN, **header)
    return folder / "ct.nii"


def nrrd(folder: Path, grid: Grid = PLAIN, **header: str | None) -> Path:
    write_nrrd(folder / "ct.nrrd", STORED, grid, **header)
    return folder / "ct.nrrd"


def sheared_nifti(**codes: int):
    srow = SROW.copy()
    srow[0, 2] = 2.5 * 0.3
    return lambda folder: nifti(folder, srow=srow, **codes)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: meta(folder, grid=Grid(SHEARED / np.linalg.norm(SHEARED, axis=1)[:, None])),
        lambda folder: nrrd(folder, Grid(SHEARED)),
        sheared_nifti(),
        sheared_nifti(qform=1),
        sheared_nifti(sform=2, qform=1),
    ],
    ids=["mha", "nrrd", "nii", "nii beside a plain qform", "nii aligned beside it"],
)
def test_a_sheared_volume_is_refused_at_reading(tmp_path: Path, write) -> None:
    refused(write(tmp_path), r"sheared: .* (16\.7|17\.5) degrees off right angles")


@pytest.mark.parametrize("angle", [0.19, 0.21])
@pytest.mark.parametrize("kind", ["mha", "nrrd", "nii"])
def test_axes_nearly_at_right_angles(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, angle: float
) -> None:
    """k leans by an angle: the nearest rotation turns i and k by half of it each."""
    lean = np.radians(angle)
    rows = np.array([[1, 0, 0], [0, 1, 0], [np.sin(lean), 0, np.cos(lean)]])
    path = tmp_path / f"ct.{kind}"
    {"mha": write_meta, "nrrd": write_nrrd, "nii": write_nifti}[kind](path, STORED, Grid(rows))
    if angle > 0.2:
        refused(path, r"sheared: .* 0\.21 degrees off right angles \(up to 0\.2 pass as rounding\)")
        return
    (line,) = told(caplog, path)
    assert "0.19 degrees off right angles and were set at right angles" in line
    # The centre, i = 2 and k = 1 from the first voxel, stays; the corner moves by the turns of
    # 2 steps of 0.7 mm and 1 step of 2.5 mm by half the angle, the one along z, the other along x.
    assert f"no voxel moves by more than {np.hypot(1.4, 2.5) * np.sin(lean / 2):.2g} mm" in line
    volume = read_volume(path)
    half = lean / 2
    assert volume.affine[:3, 0] == pytest.approx([2.5 * np.sin(half), 0, 2.5 * np.cos(half)], 1e-5)
    assert volume.affine[:3, 2] == pytest.approx([0.7 * np.cos(half), 0, -0.7 * np.sin(half)], 1e-5)
    centre = np.array([10, 20, 30]) + [2 * 0.7, 1.5 * 0.8, 0] + 2.5 * rows[2]
    assert volume.to_world(np.array([1, 1.5, 2])) == pytest.approx(centre, abs=1e-5)


@pytest.mark.parametrize("size", [1e-3, 1e-4])
def test_an_sform_rounded_to_three_decimals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: float
) -> None:
    noise = np.random.default_rng(0).uniform(-size, size, (3, 3)) * PLAIN.steps
    srow = SROW.copy()
    srow[:, :3] += noise
    (line,) = told(caplog, nifti(tmp_path, srow=srow))
    assert "its sform are" in line or "sform" in line
    affine = read_volume(tmp_path / "ct.nii").affine
    plain = read_volume(nifti(tmp_path)).affine
    assert largest_shift(affine, plain, (3, 4, 5)) < 10 * size
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    assert np.allclose(cosines.T @ cosines, np.eye(3), atol=1e-12)


def test_float32_is_no_reason_to_speak(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    path = tmp_path / "ct.nii"
    write_nifti(path, STORED, Grid(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])), qform=1)
    assert told(caplog, path) == []


def test_square_axes_keeps_handedness_and_names_what_it_was_given() -> None:
    mirrored = np.diag([-1.0, 1, 1, 1])
    mirrored[0, 1] = 1e-3
    square, _ = square_axes(Path("x"), mirrored, (2, 2, 2))
    assert np.linalg.det(square[:3, :3]) == pytest.approx(-1, abs=1e-5)
    for fault in (np.nan, np.inf):
        broken = np.eye(4)
        broken[1, 3] = fault
        with pytest.raises(InputError, match=r"^x: bad header: spacing"):
            square_axes(Path("x"), broken, (2, 2, 2))


@pytest.mark.parametrize(
    ("codes", "taken"),
    [((1, 1), "sform"), ((1, 2), "sform"), ((2, 1), "qform"), ((4, 1), "qform"), ((2, 2), "qform")],
)
def test_sform_and_qform_that_disagree(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codes: tuple[int, int], taken: str
) -> None:
    """The qform lies 3 mm to the left and 4 mm to the back (RAS: -3, -4), so 5 mm away."""
    path = nifti(tmp_path, sform=codes[0], qform=codes[1], qoffset=(-13, -24, 30))
    (line,) = told(caplog, path)
    assert line == (
        f"its sform and qform (codes {codes[0]} and {codes[1]}) place voxels up to 5 mm apart:"
        f" the {taken} is taken"
    )
    first = read_volume(path).affine[:3, 3]
    assert first == pytest.approx((10, 20, 30) if taken == "sform" else (13, 24, 30), abs=1e-5)


def test_sform_and_qform_that_differ_by_rounding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert told(caplog, nifti(tmp_path, qform=1, qoffset=(-10.09, -20, 30))) == []


def test_neither_sform_nor_qform(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = nifti(tmp_path, sform=0)
    (line,) = told(caplog, path)
    assert line.startswith("has neither sform nor qform: axes assumed to be LPS")
    assert read_volume(path).affine.tolist() == pytest.approx(
        np.array([[0, 0, 0.7, 0], [0, 0.8, 0, 0], [2.5, 0, 0, 0], [0, 0, 0, 1]]), abs=1e-6
    )


def test_an_sform_has_its_own_spacing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = nifti(tmp_path, pixdim=(2, 2, 2))
    (line,) = told(caplog, path)
    assert line == (
        "its sform has the spacing [0.7, 0.8, 2.5] mm, its pixdim [2.0, 2.0, 2.0]:"
        " the sform is taken"
    )
    assert read_volume(path).spacing == pytest.approx([2.5, 0.8, 0.7])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["mha", "nrrd", "nii", "nii.gz"])
def test_voxels_that_are_not_numbers_are_refused(tmp_path: Path, kind: str, value: float) -> None:
    stored = STORED.astype(np.float32)
    stored[1, 2, 3] = value
    write = {"mha": write_meta, "nrrd": write_nrrd}.get(kind, write_nifti)
    write(tmp_path / f"ct.{kind}", stored, PLAIN)
    with pytest.raises(InputError, match=rf"ct\.{kind}: holds voxels that are not numbers"):
        read_volume(tmp_path / f"ct.{kind}")


@pytest.mark.parametrize(
    ("slope", "intercept", "wanted"),
    [
        (0, -1024, STORED),
        (np.nan, -1024, STORED),
        (1, -1024, STORED - 1024.0),
        (0.5, 1, STORED / 2 + 1),
    ],
)
def test_scaling(tmp_path: Path, slope: float, intercept: float, wanted: np.ndarray) -> None:
    array = read_volume(nifti(tmp_path, slope=slope, inter=intercept)).array
    assert np.array_equal(array, wanted)
    assert array.dtype == (np.float32 if slope == 0.5 else np.int16)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"sform": 0, "pixdim": (1, -1, 1)}, "spacing .* is not above 0"),
        ({"sform": 0, "pixdim": (1, np.nan, 1)}, "spacing .* is not above 0"),
        ({"sform": 0, "qform": 1, "pixdim": (1, -1, 1)}, "its qform is not a rotation"),
        ({"sform": 0, "qform": 1, "quaternion": (0.9, 0.9, 0.9)}, "its qform is not a rotation"),
        ({"srow": np.full((3, 4), np.nan)}, "bad header: spacing"),
        ({"srow": np.zeros((3, 4))}, "bad header: spacing"),
        ({"datatype": 150}, "no data type has the code 150"),
        ({"datatype": 128, "sizes": (5, 4, 2)}, "its voxels are not one real number each"),
        ({"offset": 100}, "its voxels begin within it"),
        ({"offset": np.nan}, "bad header: .*NaN"),
        ({"units": 5}, "no unit of length has the code 5"),
        ({"sizes": (5, 4)}, "2 dimensions"),
        ({"sizes": (5, 4, 3, 2)}, "4 dimensions"),
        ({"sizes": (5, -4, -3)}, "its dimensions are"),
    ],
)
def test_a_nifti_header_that_cannot_be(tmp_path: Path, header: dict, fault: str) -> None:
    refused(nifti(tmp_path, **header), fault)


def test_a_slope_without_an_intercept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ct\.nii: cannot be read: .*intercept"):
        read_volume(nifti(tmp_path, slope=1, inter=np.nan))


def test_a_broken_qform_beside_an_sform(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = nifti(tmp_path, qform=1, quaternion=(0.9, 0.9, 0.9))
    assert told(caplog, path) == ["its qform is not a rotation and is ignored"]
    assert read_volume(path).affine[:3, 3].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"ElementSpacing": "0.7 -0.8 2.5"}, "ElementSpacing 0.7 -0.8 2.5: .* above 0"),
        ({"ElementSpacing": "0.7 0.8 nan"}, "above 0"),
        ({"ElementSpacing": "0.7 0_8 2.5"}, "above 0"),
        ({"ElementSpacing": None, "ElementSize": "0.7 0.8 -2.5"}, "ElementSize .* above 0"),
        ({"DimSize": "-5 -4 3"}, "bad number in the header: .-5. is not a whole number"),
        ({"DimSize": "5 4 0_3"}, "bad number"),
        ({"DistanceUnits": "cm"}, "DistanceUnits cm: only mm"),
        ({"TransformMatrix": "2 0 0 0 2 0 0 0 2"}, "direction cosines have the lengths"),
    ],
)
def test_a_metaimage_header_that_cannot_be(tmp_path: Path, header: dict, fault: str) -> None:
    refused(meta(tmp_path, **header), fault)


def test_rounded_direction_cosines_leave_the_spacing(tmp_path: Path) -> None:
    path = meta(tmp_path, TransformMatrix="0.7071 0.7071 0 -0.7071 0.7071 0 0 0 1")
    assert read_volume(path).spacing.tolist() == pytest.approx([2.5, 0.8, 0.7], abs=1e-12)


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ("LIST\ns0.raw\ns1.raw", "its data files, one for each slice, are 2, not 3"),
        ("LIST\ns0.raw\ns1.raw\ngone.raw", "its data file gone.raw is missing"),
        ("LIST\ns0.raw\ns1.raw\nshort.raw", "short.raw: holds 20 bytes of data"),
        ("LIST 3\nall.raw", "ElementDataFile LIST 3: only lists of slices"),
        ("LIST\n", "are 0, not 3"),
        ("s%d.raw 0 1 1", "are 2, not 3"),
        ("s%d.raw 1 3 1", "its data file s3.raw is missing"),
        ("s%d.raw 0 2 0", "not of the form"),
        ("s%d.raw 0 2", "not of the form"),
        ("s%d.raw 0 999999999 1", "not of the form"),
        ("s%s.raw 0 2 1", "not of the form"),
        ("s%d%d.raw 0 2 1", "not of the form"),
        ("gone.raw", "its data file gone.raw is missing"),
    ],
)
def test_data_files_that_are_not_there(tmp_path: Path, named: str, fault: str) -> None:
    for number, plane in enumerate(STORED):
        (tmp_path / f"s{number}.raw").write_bytes(plane.tobytes())
    (tmp_path / "short.raw").write_bytes(STORED[0].tobytes()[:20])
    (tmp_path / "all.raw").write_bytes(STORED.tobytes())
    path = meta(tmp_path, "ct.mhd", ElementDataFile=named)
    for read in (read_volume, read_geometry):
        with pytest.raises(InputError, match=fault) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_slices_in_files_of_their_own_are_not_compressed(tmp_path: Path) -> None:
    path = meta(tmp_path, "ct.mhd", ElementDataFile="s%d.raw 0 2 1", CompressedData="True")
    refused(path, "its data files, one for each slice, are compressed")


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 -2 3"},
         "spacings 1 -2 3: a spacing must be above 0"),
        ({"space": None, "space_directions": None, "space_origin": None, "spacings": "1 nan 3"},
         "above 0"),
        ({"space_directions": "none (0,2,0) (0,0,3)"}, "an axis has no direction"),
        ({"space_units": '"cm" "cm" "cm"'}, "only mm are read"),
        ({"space_directions": "(0,0,0) (0,2,0) (0,0,3)"}, "header"),
        ({"data_file": "gone.raw"}, "its data file gone.raw is missing"),
        ({"data_file": "s%d.raw"}, "not of the form"),
    ],
)  # fmt: skip
def test_an_nrrd_header_that_cannot_be(tmp_path: Path, header: dict, fault: str) -> None:
    refused(nrrd(tmp_path, **header), fault)


def test_what_a_header_leaves_open_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = {"space": None, "space_directions": None, "space_origin": None, "spacings": "1 2 3"}
    assert told(caplog, nrrd(tmp_path, **bare)) == [
        "its header names no space of the patient: axes assumed to be LPS",
        "its header has no space origin: its first voxel is put at 0",
    ]
    assert told(caplog, nrrd(tmp_path, space="scanner-xyz")) == [
        "its header names no space of the patient: axes assumed to be LPS"
    ]
    assert told(caplog, meta(tmp_path, Offset=None, TransformMatrix=None)) == [
        "its header has no Offset: its first voxel is put at 0",
        "its header has no TransformMatrix: axes assumed to be LPS",
    ]
    assert told(caplog, nrrd(tmp_path, space_units='"mm" "mm" "mm"')) == []
    assert told(caplog, meta(tmp_path, DistanceUnits="mm")) == []
