"""Where the points of outlines lie in scans stored in any way: worked by hand."""

import numpy as np
import pytest
import raw_images
from turning import FLIPS, ORIENTATIONS, back, stored

from nodulenet.annotations import (
    Group,
    Mark,
    Reading,
    Roi,
    Session,
    SliceGeometry,
    consensus,
    point_index,
)
from nodulenet.files import InputError
from nodulenet.imaging import (
    Volume,
    lidc_grid,
    read_lidc_grid,
    standard,
    to_standard_grid,
    write_volume,
)
from nodulenet.imaging.orientation import off_axes, turned_mask
from nodulenet.masks import CroppedMask

SERIES = "1.2.3"
# z up, y back, x left, as LIDC's series: slices of 2 mm, pixels of 0.5 mm, 6 x 10 x 8 voxels.
AFFINE = np.array([[0, 0, 0.5, -3], [0, 0.5, 0, 7], [2, 0, 0, -40], [0, 0, 0, 1]])
AXIAL = Volume(np.arange(480, dtype=np.int16).reshape(6, 10, 8), AFFINE)
# A triangle whose fill differs from that of its mirror image, on the slice at z = -36 mm.
CORNERS = ((1.0, 2.0), (6.0, 3.0), (2.0, 7.0))


def reading():
    nodule = Mark("nodule", "N", (Roi(-36.0, True, CORNERS), Roi(-34.0, True, CORNERS[:2])))
    point = Mark("small", "S", (Roi(-32.0, True, ((5.0, 2.0),)),))
    return Reading(SERIES, (Session("a", (nodule, point)),), "file", "0")


def in_world(pixels):
    """Voxels of the nodule and place of the point, in world mm, rounded; and their grid."""
    geometry = SliceGeometry(pixels.slice_z(), pixels.array.shape[1:])
    groups = consensus(reading().sessions, geometry, level=1)
    turned, (group,), place = to_standard_grid(reading(), groups, pixels)
    voxels = place.to_world(np.argwhere(group.mask) + group.offset)
    point = turned.sessions[0].marks[1]
    at = np.array(point_index(point, SliceGeometry(place.slice_z(), place.array.shape[1:])))
    assert [o[1] for o in group.outlines] == [group.offset]
    return {tuple(v) for v in voxels.round(6).tolist()}, place.to_world(at).round(6), place


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd"])
def test_the_grid_of_the_dicom_images_is_restored(tmp_path, order, flips, suffix):
    """In the world nothing moves, whatever the file's axes are."""
    path = tmp_path / f"scan.{suffix}"
    write_volume(stored(AXIAL, order, flips), path)
    pixels = read_lidc_grid(path, SERIES)
    np.testing.assert_allclose(pixels.affine, AFFINE, atol=1e-5)
    assert pixels.array.shape == AXIAL.array.shape
    voxels, point, _ = in_world(lidc_grid(path, stored(AXIAL, order, flips), SERIES))
    wanted, wanted_point, _ = in_world(AXIAL)
    assert voxels == wanted
    # Pixel (5, 2) at z = -32: x = -3 + 0.5 * 5, y = 7 + 0.5 * 2.
    assert point.tolist() == wanted_point.tolist() == [-0.5, 8, -32]


@pytest.mark.parametrize("flips", FLIPS)
def test_dicom_pixels_stay_as_they_are(tmp_path, flips):
    """Points of a series that is stored otherwise are indices of its own rows and columns."""
    pixels = lidc_grid(tmp_path, stored(AXIAL, (0, 1, 2), flips), SERIES)
    voxels, point, place = in_world(pixels)
    np.testing.assert_allclose(place.affine, AFFINE)
    x, y = (7 - 5 if 2 in flips else 5), (9 - 2 if 1 in flips else 2)
    assert point.tolist() == [-3 + 0.5 * x, 7 + 0.5 * y, -32]
    for corner_x, corner_y in CORNERS:
        at_x = 7 - corner_x if 2 in flips else corner_x
        at_y = 9 - corner_y if 1 in flips else corner_y
        assert (-3 + 0.5 * at_x, 7 + 0.5 * at_y, -36.0) in voxels
    # Filled as drawn, then turned: as many voxels however the series is stored.
    assert len(voxels) == len(in_world(AXIAL)[0])


@pytest.mark.parametrize("flips", [(), (1,), (2,), (1, 2)])
def test_dicom_with_rows_along_y(tmp_path, flips):
    pixels = lidc_grid(tmp_path, stored(AXIAL, (0, 2, 1), flips), SERIES)
    _, point, place = in_world(pixels)
    np.testing.assert_allclose(place.affine, AFFINE)
    # Column 5 of ten is y now, row 2 of eight is x.
    x, y = (7 - 2 if 1 in flips else 2), (9 - 5 if 2 in flips else 5)
    assert point.tolist() == [-3 + 0.5 * x, 7 + 0.5 * y, -32]


def test_points_of_slices_that_are_tilted(tmp_path):
    """The z that names a tilted slice is that of its first pixel, also after a turn."""
    tilt = np.radians(5)
    affine = AFFINE.copy()
    affine[:3, 0] = 2 * np.array([0, -np.sin(tilt), np.cos(tilt)])
    affine[:3, 1] = -0.5 * np.array([0, np.cos(tilt), np.sin(tilt)])
    pixels = lidc_grid(tmp_path, Volume(AXIAL.array, affine), SERIES)
    z = pixels.slice_z()[3]
    mark = Mark("small", "S", (Roi(z, True, ((5.0, 2.0),)),))
    held = Reading(SERIES, (Session("a", (mark,)),), "file", "0")
    turned, _, place = to_standard_grid(held, [], pixels)
    geometry = SliceGeometry(place.slice_z(), place.array.shape[1:])
    at = place.to_world(np.array(point_index(turned.sessions[0].marks[0], geometry)))
    np.testing.assert_allclose(at, pixels.to_world(np.array([3, 2, 5])), atol=1e-9)


def test_sagittal_dicom_is_refused(tmp_path):
    with pytest.raises(InputError, match="its slices are not axial"):
        lidc_grid(tmp_path, stored(AXIAL, (2, 0, 1), ()), SERIES)


def test_luna16_headers_keep_the_index(tmp_path):
    """TransformMatrix -1 0 0 0 -1 0 0 0 1: index as in DICOM, position as the header says."""
    volume = Volume(AXIAL.array, AFFINE @ np.diag([1.0, -1, -1, 1]))
    path = tmp_path / f"{SERIES}.mhd"
    write_volume(volume, path)
    assert "TransformMatrix = -1.0 0.0 0.0 0.0 -1.0 0.0 0.0 0.0 1.0" in path.read_text()
    _, point, place = in_world(read_lidc_grid(path, SERIES))
    # Pixel (5, 2) from the header's origin (-3, 7) the other way.
    assert point.tolist() == [-3 - 0.5 * 5, 7 - 0.5 * 2, -32]
    assert place.affine[0, 2] == place.affine[1, 1] == 0.5


@pytest.mark.parametrize(
    ("name", "flips"), [("copy.mhd", (1, 2)), (f"{SERIES}.mha", (1, 2)), ("1.2.3.mhd", (0, 1, 2))]
)
def test_other_meta_images_turned_in_the_plane_are_refused(tmp_path, name, flips):
    write_volume(stored(AXIAL, (0, 1, 2), flips), tmp_path / name)
    with pytest.raises(InputError) as error:
        read_lidc_grid(tmp_path / name, SERIES)
    told = str(error.value)
    assert told.startswith(f"{tmp_path / name}: cannot place outlines")
    assert "its header turns x and y" in told
    assert told.endswith("rows towards the back and columns towards the left"
                         " (direction 1 0 0 0 1 0 0 0 1)")  # fmt: skip


@pytest.mark.parametrize("degrees", [0.5, 1.5, 20.0])
def test_oblique_files_are_refused(tmp_path, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.eye(4)
    turned[:2, :2] = [[c, -s], [s, c]]
    path = tmp_path / "scan.nii.gz"
    write_volume(Volume(AXIAL.array, turned @ AFFINE), path)
    assert off_axes(turned @ AFFINE) == pytest.approx(degrees)
    if degrees < 1:
        assert read_lidc_grid(path, SERIES).array.shape == AXIAL.array.shape
        return
    with pytest.raises(InputError, match=rf"its axes are {degrees} degrees off the body's; give"):
        read_lidc_grid(path, SERIES)


@pytest.mark.parametrize(
    ("name", "write", "header"),
    [
        ("a.nii", raw_images.write_nifti, {"sform": 0, "qform": 0}),
        ("a.nrrd", raw_images.write_nrrd, {"space": "scanner-xyz"}),
        ("a.mha", raw_images.write_meta, {"TransformMatrix": None}),
    ],
)
def test_a_file_without_orientation_is_refused(tmp_path, name, write, header):
    path = tmp_path / name
    write(path, AXIAL.array, raw_images.Grid(np.eye(3)))
    assert read_lidc_grid(path, SERIES).array.shape == AXIAL.array.shape
    write(path, AXIAL.array, raw_images.Grid(np.eye(3)), **header)
    with pytest.raises(InputError, match="in DICOM pixels: its header has no orientation; give"):
        read_lidc_grid(path, SERIES)


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_a_volume_and_its_masks_turn_alike(order, flips):
    volume = stored(AXIAL, order, flips)
    turned, turn = standard(volume)
    assert np.array_equal(turned.array, AXIAL.array)
    np.testing.assert_allclose(turned.affine, AFFINE, atol=1e-12)
    box = (slice(1, 4), slice(2, 4), slice(3, 8))
    whole = np.zeros(AXIAL.array.shape, bool)
    whole[box] = AXIAL.array[box] % 3 > 0
    first = stored(Volume(whole, AFFINE), order, flips).array
    corner = np.argwhere(first).min(axis=0)
    cut = first[tuple(map(slice, corner, np.argwhere(first).max(axis=0) + 1))]
    mask = turned_mask(CroppedMask(cut, tuple(corner.tolist())), turn, first.shape)
    assert np.array_equal(mask.mask, whole[mask.box])
    assert mask.mask.sum() == whole.sum()
    assert np.array_equal(back(volume.array, order, flips), AXIAL.array)


def test_what_lies_so_already_is_given_back():
    held = Group(((0, 0),), np.ones((1, 1, 1), bool), (0, 0, 0), ())
    same, groups, place = to_standard_grid(reading(), [held], AXIAL)
    assert same == reading()
    assert groups == [held]
    assert np.array_equal(place.affine, AFFINE)
    assert np.shares_memory(standard(AXIAL)[0].array, AXIAL.array)
