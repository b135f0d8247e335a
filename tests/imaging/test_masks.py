"""Nodule masks between grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.imaging import Volume, label_volume, resample_mask, restore_mask, target_grid
from nodulenet.imaging.grid import crop_affine
from nodulenet.masks import NO_MASK, CroppedMask, crop


def sphere(affine, shape, centre, radius):
    """A voxel belongs to the sphere if its centre does."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = Volume(np.zeros(shape), affine).to_world(index)
    return crop(np.linalg.norm(world - centre, axis=-1) <= radius)


def affine_of(spacing, flips=(1, 1, 1), origin=(-10.0, 20.0, -30.0)):
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = np.array(spacing) * flips
    affine[:3, 3] = origin
    affine[3, 3] = 1
    return affine


spacings = st.sampled_from([(2.5, 0.6, 0.6), (1.25, 0.7, 0.7), (0.6, 0.9, 0.9), (1.8, 0.5, 0.8)])
flips = st.tuples(*[st.sampled_from([-1, 1])] * 3)


@given(spacings, flips, st.floats(8, 14), st.tuples(*[st.floats(-1, 1)] * 3))
def test_sphere_keeps_centre_and_volume(spacing, flip, radius, shift):
    affine = affine_of(spacing, flip)
    shape = tuple(np.ceil(36 / np.array(spacing)).astype(int))
    grid = Volume(np.zeros(shape), affine)
    centre = grid.to_world((np.array(shape) - 1) / 2) + shift
    mask, offset = sphere(affine, shape, centre, radius)
    new, new_shape = target_grid(affine, shape)
    resampled, start = resample_mask(CroppedMask(mask, offset), affine, new, new_shape)
    found = Volume(resampled, new).to_world(np.argwhere(resampled).mean(axis=0) + start)
    assert np.linalg.norm(found - centre) < 0.25
    # On grids that lie symmetrically about its centre a sphere has up to 4.2 % too many voxels.
    assert resampled.sum() == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.05)


def test_identity_keeps_a_mask_and_clips_it():
    mask = np.random.default_rng(0).random((4, 5, 6)) > 0.5
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    affine = affine_of((2, 1, 1))
    same, start = resample_mask(CroppedMask(mask, (3, 4, 5)), affine, affine)
    assert np.array_equal(same, mask)
    assert start == (3, 4, 5)
    part, start = resample_mask(CroppedMask(mask, (3, 4, 5)), affine, affine, (5, 100, 100))
    assert start[0] == 3
    assert part.shape[0] == 2
    before, start = resample_mask(CroppedMask(mask, (-2, 0, 0)), affine, affine, (9, 9, 9))
    assert np.array_equal(before, crop(mask[2:]).mask)
    gone = resample_mask(CroppedMask(mask, (50, 0, 0)), affine, affine, (9, 9, 9))
    assert gone is NO_MASK


def test_thick_slices_by_hand():
    """One voxel 4 mm thick: half height lies at its faces, 2 mm up and down."""
    old = affine_of((4, 1, 1), origin=(0, 0, 0))
    mask = np.ones((3, 6, 6), bool)
    resampled, start = resample_mask(
        CroppedMask(mask, (5, 5, 5)), old, affine_of((1, 1, 1), origin=(0, 0, 0))
    )
    # slices at 20, 24, 28 mm: filled from 18 to 30 mm, both ends included
    assert start == (18, 5, 5)
    assert resampled.shape == (13, 6, 6)
    assert resampled.all()


@given(spacings, flips, st.floats(6, 9))
def test_restored_sphere_is_where_it_was(spacing, flip, radius):
    affine = affine_of(spacing, flip)
    shape = tuple(np.ceil(26 / np.array(spacing)).astype(int))
    centre = Volume(np.zeros(shape), affine).to_world((np.array(shape) - 1) / 2)
    ball = sphere(affine, shape, centre, radius)
    new, _ = target_grid(affine, shape)
    back = restore_mask(resample_mask(ball, affine, new), new, affine, shape)
    whole, again = np.zeros(shape, bool), np.zeros(shape, bool)
    whole[ball.box], again[back.box] = ball.mask, back.mask
    assert 2 * (whole & again).sum() / (whole.sum() + again.sum()) > 0.9


def test_restoring_an_oblique_mask():
    c, s = np.cos(0.4), np.sin(0.4)
    oblique = affine_of((1, 1, 1))
    oblique[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ oblique[:3, :3]
    straight = affine_of((1, 1, 1))
    centre = np.array([5.0, 35.0, -15.0])
    mask, offset = sphere(straight, (31, 31, 31), centre, 6)
    turned, start = restore_mask(CroppedMask(mask, offset), straight, oblique)
    found = Volume(turned, oblique).to_world(np.argwhere(turned).mean(axis=0) + start)
    assert np.linalg.norm(found - centre) < 0.1
    assert turned.sum() == pytest.approx(mask.sum(), rel=0.05)


def test_later_nodule_has_the_shared_voxels():
    affine = np.eye(4)
    a, b = np.ones((4, 4, 4), bool), np.ones((2, 2, 2), bool)
    nodules = [
        (1, CroppedMask(a, (0, 0, 0))),
        (0, CroppedMask(a, (6, 6, 6))),
        (2, CroppedMask(b, (1, 1, 1))),
    ]
    labels, painted = label_volume(nodules, affine, affine, (12, 12, 12))
    assert labels.dtype == np.uint8
    assert np.bincount(labels.ravel()).tolist() == [12**3 - 64, 56, 8]
    assert labels[1, 1, 1] == 2
    assert painted[2] == {"voxels": 8, "lost": ""}
    assert painted[1]["voxels"] == 56
    assert "covered by a later nodule: 8 of its 64" in painted[1]["lost"]


def test_lost_nodules_are_reported():
    affine = np.diag([1, 0.5, 0.5, 1])
    cube, speck = np.ones((4, 8, 8), bool), np.ones((1, 1, 1), bool)
    kept = crop_affine(np.eye(4), (2, 0, 0))
    places = [(cube, (0, 8, 8)), (cube, (40, 8, 8)), (speck, (5, 3, 3))]
    nodules = [(k, CroppedMask(*place)) for k, place in enumerate(places, 1)]
    labels, painted = label_volume(nodules, affine, kept, (10, 10, 10))
    assert "outside the crop: 32 of its 64 voxels" in painted[1]["lost"]
    assert "outside the crop: all of its 64 voxels" in painted[2]["lost"]
    assert "vanishes" in painted[3]["lost"]
    assert [painted[k]["voxels"] for k in (1, 2, 3)] == [32, 0, 0]
    assert labels.sum() == 32


def test_many_labels_and_none():
    cube = np.ones((1, 1, 1), bool)
    nodules = [(k, CroppedMask(cube, (k, 0, 0))) for k in range(1, 301)]
    labels, painted = label_volume(nodules, np.eye(4), np.eye(4), (301, 1, 1))
    assert labels.dtype == np.uint16
    assert labels[:, 0, 0].tolist() == list(range(301))
    assert len(painted) == 300
    assert not label_volume([], np.eye(4), np.eye(4), (2, 2, 2))[0].any()
