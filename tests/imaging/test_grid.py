"""Affines and grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nodulenet.imaging import Volume, crop_offset, target_grid
from nodulenet.imaging.grid import crop_affine
from nodulenet.imaging.orientation import from_standard, standard
from nodulenet.settings import PreprocessSettings

number = st.floats(-1, 1)


@st.composite
def affines(draw):
    """Rotated, flipped and anisotropic affines."""
    spacing = [draw(st.floats(0.3, 5)) for _ in range(3)]
    flips = [draw(st.sampled_from([-1, 1])) for _ in range(3)]
    turn = Rotation.from_rotvec([3 * draw(number) for _ in range(3)]).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn[:, draw(st.permutations(range(3)))] * spacing * flips
    affine[:3, 3] = [500 * draw(number) for _ in range(3)]
    return affine


@given(affines(), st.lists(st.floats(-1000, 1000), min_size=6, max_size=6))
def test_world_and_voxel_invert_each_other(affine, values):
    volume = Volume(np.zeros((1, 1, 1)), affine)
    points = np.array(values).reshape(2, 3)
    assert np.allclose(volume.to_world(volume.to_voxel(points)), points, atol=1e-7)
    assert np.allclose(volume.to_voxel(volume.to_world(points)), points, atol=1e-7)
    assert np.allclose(volume.to_world(np.eye(3)[2]) - affine[:3, 3], affine[:3, 2])


@given(affines(), st.tuples(*[st.integers(2, 300)] * 3), st.sampled_from(["world", "corners"]))
def test_new_grid_lies_on_the_old_one(affine, shape, grid):
    old = Volume(np.broadcast_to(0, shape), affine)
    new_affine, new_shape = target_grid(affine, shape, PreprocessSettings(grid=grid))
    new = Volume(np.broadcast_to(0, new_shape), new_affine)
    assert new_shape == tuple(np.maximum(1, np.rint(np.array(shape) * old.spacing)))
    assert np.allclose(new.to_world(np.zeros(3)), old.to_world(np.zeros(3)))
    cosines = (new_affine[:3, :3] / new.spacing) - (affine[:3, :3] / old.spacing)
    assert np.allclose(cosines, 0, atol=1e-9)
    if grid == "world":
        assert np.allclose(new.spacing, 1)
    else:
        many = np.array(new_shape) > 1
        last = old.to_voxel(new.to_world(np.array(new_shape) - 1.0))
        assert np.allclose(last[many], (np.array(shape) - 1)[many], atol=1e-6)


def test_corners_by_hand():
    affine, shape = target_grid(
        np.diag([2.5, 0.5, 1, 1]), (5, 11, 4), PreprocessSettings(grid="corners")
    )
    # z: 12.5 -> 12 voxels over 4 steps of 2.5 mm; y: 5.5 -> 6 over 10 steps of 0.5 mm
    assert shape == (12, 6, 4)
    assert np.allclose(np.diag(affine), [10 / 11, 1, 1, 1])


def test_native_grid_and_wrong_name():
    affine = np.diag([2.5, 0.5, 1, 1])
    same, shape = target_grid(affine, (5, 6, 7), PreprocessSettings(resample=False))
    assert np.array_equal(same, affine)
    assert shape == (5, 6, 7)
    with pytest.raises(ValueError, match="corner"):
        PreprocessSettings(grid="corner")


@given(affines(), st.tuples(*[st.integers(-50, 50)] * 3))
def test_offset_of_a_crop(affine, offset):
    assert crop_offset(crop_affine(affine, offset), affine) == offset


@given(affines())
def test_standard_orientation_and_back(affine):
    volume = Volume(np.arange(2 * 3 * 4).reshape(2, 3, 4), affine)
    turned, turn = standard(volume)
    assert np.array_equal(from_standard(turned.array, turn), volume.array)
    assert sorted(turned.spacing) == pytest.approx(sorted(volume.spacing))


def test_standard_orientation_by_hand():
    # array axes: x to the right, z down, y to the back
    affine = np.array([[-1, 0, 0, 0], [0, 0, 2, 0], [0, -3, 0, 0], [0, 0, 0, 1]], float)
    volume = Volume(np.arange(24).reshape(2, 3, 4), affine)
    turned, _ = standard(volume)
    assert turned.array.shape == (3, 4, 2)
    assert turned.spacing.tolist() == [3, 2, 1]
    assert turned.array[0, 0, 0] == volume.array[1, 2, 0]
