"""Preprocessing against a plain reference."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import convex_hull_image

from nodulenet.files import InputError
from nodulenet.imaging import Volume, preprocess, target_grid
from nodulenet.imaging.grid import spline_matrix
from nodulenet.imaging.preprocess import convex_hull, dilate, lung_region
from nodulenet.settings import PreprocessSettings

ROUNDING = 1e-3  # grey values; half a one is rounding to bytes


def blobs(shape, seed, label, lungs):
    noise = np.random.default_rng(seed).normal(size=shape)
    blob = ndimage.gaussian_filter(noise, (1, 4, 4))
    lungs[blob > 0.02] = label
    return lungs


@pytest.fixture(scope="module")
def scan():
    """A small noisy CT with ragged lungs, some slices without any."""
    shape = (16, 64, 72)
    lungs = np.zeros(shape, np.uint8)
    lungs[4:12, 15:48, 14:34] = blobs((8, 33, 20), 1, 3, np.zeros((8, 33, 20), np.uint8))
    lungs[4:11, 18:50, 38:58] = blobs((7, 32, 20), 2, 4, np.zeros((7, 32, 20), np.uint8))
    hu = np.random.default_rng(3).normal(-300, 1500, shape)
    hu = ndimage.gaussian_filter(hu, 0.7).astype(np.int16)
    affine = np.array([[0, 0, -0.7, 50], [0, 0.8, 0, -30], [1.8, 0, 0, 7], [0, 0, 0, 1]])
    return Volume(hu, affine), lungs


def reference_region(lungs):
    region = np.zeros(lungs.shape, bool)
    for label in (3, 4):
        for z, plane in enumerate(lungs == label):
            if plane.any():
                hull = convex_hull_image(plane)
                region[z] |= hull if hull.sum() <= 1.5 * plane.sum() else plane
    cross = ndimage.generate_binary_structure(3, 1)
    return ndimage.binary_dilation(region, cross, iterations=10)


def reference(volume, lungs, grid):
    """The whole volume masked and interpolated by SciPy, unrounded, and the box to crop."""
    scaled = (np.clip(volume.array.astype(float), -1200, 600) + 1200) / 1800 * 255
    scaled[~reference_region(lungs)] = 170
    affine, shape = target_grid(volume.affine, lungs.shape, PreprocessSettings(grid=grid))
    points = volume.to_voxel(Volume(scaled, affine).to_world(np.moveaxis(np.indices(shape), 0, -1)))
    values = ndimage.map_coordinates(scaled, np.moveaxis(points, -1, 0), order=3, mode="nearest")
    new = Volume(np.clip(values, 0, 255), affine)
    inside = new.to_voxel(volume.to_world(np.argwhere(lungs > 0)))
    first = np.maximum(np.floor(inside.min(axis=0) + 1e-6) - 5, 0).astype(int)
    last = np.minimum(np.ceil(inside.max(axis=0) - 1e-6) + 5, np.array(shape) - 1).astype(int)
    return new, first, last


@pytest.mark.parametrize("grid", ["world", "corners"])
def test_equals_the_reference(scan, grid):
    volume, lungs = scan
    whole, first, last = reference(volume, lungs, grid)
    result = preprocess(volume, lungs, PreprocessSettings(grid=grid))
    assert result.array.dtype == np.uint8
    assert np.allclose(result.to_world(np.zeros(3)), whole.to_world(first))
    wanted = whole.array[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    assert result.array.shape == wanted.shape
    assert np.abs(result.array - wanted).max() <= 0.5 + ROUNDING
    assert len(np.unique(result.array)) > 200


def test_lungs_that_reach_the_faces(scan):
    volume, _ = scan
    lungs = np.full(volume.array.shape, 3, np.uint8)
    whole, _, _ = reference(volume, lungs, "world")
    result = preprocess(volume, lungs)
    assert result.array.shape == whole.array.shape
    assert np.abs(result.array - whole.array).max() <= 0.5 + ROUNDING
    assert np.array_equal(result.affine, whole.affine)


def test_native_grid(scan):
    volume, lungs = scan
    result = preprocess(volume, lungs, PreprocessSettings(resample=False, margin=2))
    box = tuple(slice(max(0, a.min() - 2), a.max() + 3) for a in np.nonzero(lungs))
    scaled = np.rint((np.clip(volume.array, -1200, 600) + 1200) / 1800 * 255)
    scaled[~reference_region(lungs)] = 170
    assert np.array_equal(result.array, scaled[box])
    assert np.allclose(result.affine[:3, :3], volume.affine[:3, :3])


def test_window_and_pad_value(scan):
    volume, lungs = scan
    flat = Volume(np.full_like(volume.array, 100), volume.affine)
    result = preprocess(flat, lungs, PreprocessSettings(hu_window=(0, 200), pad_value=7))
    assert {7, 128} <= set(np.unique(result.array).tolist())


def test_sphere_keeps_centre_and_volume():
    """A bright ball in the lung, 0.6 x 0.6 x 2.5 mm, flipped: at half height all is kept."""
    shape = (24, 96, 96)
    affine = np.array([[0, 0, -0.6, 30], [0, -0.6, 0, 40], [2.5, 0, 0, -9], [0, 0, 0, 1]])
    grid = Volume(np.zeros(shape), affine)
    centre = grid.to_world(np.array([11.3, 47.2, 48.9]))
    world = grid.to_world(np.moveaxis(np.indices(shape), 0, -1))
    ball = np.linalg.norm(world - centre, axis=-1) <= 10
    lungs = np.full(shape, 4, np.uint8)
    result = preprocess(Volume(np.where(ball, 600, -1200).astype(np.int16), affine), lungs)
    found = result.array >= 128
    middle = result.to_world(np.argwhere(found).mean(axis=0))
    assert np.linalg.norm(middle - centre) < 0.25
    assert found.sum() == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.03)


def test_wrong_lungs(scan):
    volume, lungs = scan
    with pytest.raises(InputError, match="shape"):
        preprocess(volume, lungs[1:])
    with pytest.raises(InputError, match=r"labels \(3, 4\)"):
        preprocess(volume, np.ones_like(lungs))


@pytest.mark.parametrize("seed", range(30))
def test_hull_equals_scikit_image(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((30, 40), bool)
    count = rng.integers(1, 12)
    mask[rng.integers(0, 30, count), rng.integers(0, 40, count)] = True
    assert np.array_equal(convex_hull(mask), convex_hull_image(mask))


def test_hull_only_where_it_grows_little():
    """A ring sector of a large hull stays itself; a square with a notch is filled."""
    lungs = np.zeros((30, 60, 60), np.uint8)
    lungs[15, 20:40, 20:40] = 3
    lungs[15, 25:35, 30:40] = 0
    region = lung_region(lungs)
    filled = np.zeros_like(region)
    filled[15, 20:40, 20:40] = True
    assert np.array_equal(region, dilate(filled, 10))
    lungs[:] = 0
    lungs[15, 5:55, 5] = lungs[15, 54, 5:55] = 4
    assert np.array_equal(lung_region(lungs), dilate(lungs > 0, 10))
    assert not lung_region(lungs)[15, 25, 30]


def test_dilation_equals_ten_steps():
    seed = np.zeros((25, 40, 600), bool)
    seed[12, 20, 14] = seed[3, 2, 39] = seed[12, 21, 15] = True
    cross = ndimage.generate_binary_structure(3, 1)
    assert np.array_equal(dilate(seed, 10), ndimage.binary_dilation(seed, cross, iterations=10))


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_spline_matrix_equals_scipy(size):
    samples = np.random.default_rng(size).normal(size=size)
    positions = np.linspace(-1, size, 57)
    wanted = ndimage.map_coordinates(samples, positions[None], order=3, mode="nearest")
    assert np.allclose(spline_matrix(positions, size) @ samples, wanted, atol=1e-5)
