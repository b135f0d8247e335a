"""Augmented crops: where they are cut, and what the resampling gives."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nodulenet.settings import AugmentSettings
from nodulenet.training.crops import CropPlan, cut_crop, draw_angle, plan_crop

PAD, FILL = 170, 7


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (20, 24, 28)).astype(np.uint8)


def cut(volume: np.ndarray, plan: CropPlan) -> np.ndarray:
    return cut_crop(volume, volume, plan, PAD, FILL)[0]


def test_a_plain_crop_is_a_slice(volume: np.ndarray) -> None:
    image, labels = cut_crop(volume, volume, CropPlan((2, 3, 4), 16), PAD, FILL)
    np.testing.assert_array_equal(image, volume[2:18, 3:19, 4:20])
    np.testing.assert_array_equal(labels, image)


def test_beyond_the_volume_is_the_pad_value(volume: np.ndarray) -> None:
    image, labels = cut_crop(volume, volume, CropPlan((-4, 16, 0), 16), PAD, FILL)
    np.testing.assert_array_equal(image[4:, :8], volume[:12, 16:, :16])
    assert (image[:4] == PAD).all()
    assert (image[:, 8:] == PAD).all()
    assert (labels[:4] == 0).all()


@pytest.mark.parametrize(("flips", "axis"), [((True, False), 1), ((False, True), 2)])
def test_a_flip_turns_one_axis(volume: np.ndarray, flips: tuple[bool, bool], axis: int) -> None:
    plain = cut(volume, CropPlan((2, 3, 4), 16))
    flipped = cut(volume, CropPlan((2, 3, 4), 16, flips=flips))
    np.testing.assert_array_equal(flipped, np.flip(plain, axis))


@pytest.mark.parametrize("quarters", [1, 2])
def test_quarter_turns_are_exact(volume: np.ndarray, quarters: int) -> None:
    plain = cut(volume, CropPlan((2, 3, 4), 16))
    turned = cut(volume, CropPlan((2, 3, 4), 16, angle=quarters * math.pi / 2))
    np.testing.assert_allclose(turned.astype(int), np.rot90(plain, quarters, (1, 2)), atol=1)


def test_corners_of_a_rotated_block_are_filled(volume: np.ndarray) -> None:
    image, labels = cut_crop(volume, volume, CropPlan((2, 3, 4), 16, angle=math.pi / 4), PAD, FILL)
    assert (image[:, [0, 0, -1, -1], [0, -1, 0, -1]] == FILL).all()
    assert (labels[:, 0, 0] == 0).all()


def test_magnification_is_linear_interpolation() -> None:
    ramp = np.broadcast_to(np.arange(0, 200, 10, np.uint8), (20, 20, 20)).copy()
    image = cut(ramp, CropPlan((2, 2, 2), 16, scale=2.0))
    np.testing.assert_array_equal(image[0, 0], 20 + 5 * np.arange(16))


@pytest.mark.parametrize(
    "plan",
    [
        CropPlan((2, 3, 4), 16, scale=0.8),
        CropPlan((3, 4, 5), 12, scale=1.3, angle=0.4),
        CropPlan((-3, 9, 12), 16, scale=1.1, angle=2.5, flips=(True, False)),
    ],
)
def test_a_crop_is_what_scipy_interpolates(volume: np.ndarray, plan: CropPlan) -> None:
    middle = (plan.size - 1) / 2
    z, v, u = np.indices((plan.size,) * 3) - np.reshape([0, middle, middle], (3, 1, 1, 1))
    v, u = (-c if flip else c for c, flip in zip((v, u), plan.flips, strict=True))
    y = middle + math.cos(plan.angle) * v + math.sin(plan.angle) * u
    x = middle - math.sin(plan.angle) * v + math.cos(plan.angle) * u
    source = np.stack([z, y, x]) / plan.scale + np.reshape(plan.start, (3, 1, 1, 1))
    expected = ndimage.map_coordinates(
        volume.astype(float), source, order=1, mode="grid-constant", cval=PAD
    )
    covered = np.maximum(abs(y - middle), abs(x - middle)) <= plan.size / 2
    image = cut(volume, plan)
    np.testing.assert_allclose(image[covered], expected[covered], atol=0.51)
    assert (image[~covered] == FILL).all()


def test_labels_are_never_mixed() -> None:
    labels = np.zeros((32, 32, 32), np.uint16)
    labels[8:20, 8:20, 8:20] = 300
    plan = CropPlan((3, 3, 3), 24, scale=1.1, angle=0.5)
    _, crop = cut_crop(np.zeros(labels.shape, np.uint8), labels, plan, PAD, FILL)
    assert crop.dtype == np.uint16
    assert set(np.unique(crop)) == {0, 300}


extents = st.floats(1, 200)


@given(st.integers(0, 10_000), extents, st.tuples(*[st.floats(0, 300)] * 3))
def test_the_nodule_keeps_its_margin_where_it_fits(
    seed: int, extent: float, centre: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    where = np.array(centre)
    plan = plan_crop(where, extent, 128, AugmentSettings(rotate=False, flip=False), rng)
    low = (where - plan.start - extent / 2) * plan.scale
    high = (where - plan.start + extent / 2) * plan.scale
    block = 128 / plan.scale
    if extent + 24 <= block - 1:
        # Starts are whole voxels, so up to half a voxel of the margin may go.
        assert (low >= 11.5 * plan.scale - 1e-6).all()
        assert (high <= 128 - 11.5 * plan.scale + 1e-6).all()
    elif extent + 24 > block:
        middle = (low + high) / 2
        assert (np.abs(middle - 64) <= 6.5 * plan.scale + 1e-6).all()


@given(st.integers(0, 10_000), extents)
def test_scale_stays_in_its_range(seed: int, extent: float) -> None:
    rng = np.random.default_rng(seed)
    scale = plan_crop(np.zeros(3), extent, 128, AugmentSettings(), rng).scale
    assert min(1, max(0.75, 8 / extent)) <= scale <= max(1, min(1.25, 120 / extent))


def test_a_crop_without_a_nodule_is_shrunk_as_often_as_enlarged() -> None:
    rng = np.random.default_rng(0)
    scales = [plan_crop(np.zeros(3), 0.0, 128, AugmentSettings(), rng).scale for _ in range(2000)]
    assert 0.75 <= min(scales) < 0.76
    assert 1.24 < max(scales) <= 1.25
    assert np.mean(scales) == pytest.approx(1.0, abs=0.02)


@given(st.integers(0, 10_000))
def test_a_rotation_leaves_the_nodule_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, extent = rng.uniform(20, 108, 3), rng.uniform(1, 30)
    angle = draw_angle(centre, extent, 128, rng)
    y, x = centre[1:] - 63.5
    rotated = 63.5 + np.array(
        [math.cos(angle) * y - math.sin(angle) * x, math.sin(angle) * y + math.cos(angle) * x]
    )
    assert 0 <= angle < math.pi
    assert angle == 0 or ((rotated > extent) & (rotated < 127 - extent)).all()


def test_draw_angle_turns_as_the_resampling_does() -> None:
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[16, 20:23, 8:11] = 1
    angle = 0.7
    _, crop = cut_crop(labels, labels, CropPlan((0, 0, 0), 32, angle=angle), PAD, FILL)
    y, x = 21 - 15.5, 9 - 15.5
    expected = (
        15.5 + math.cos(angle) * y - math.sin(angle) * x,
        15.5 + math.sin(angle) * y + math.cos(angle) * x,
    )
    np.testing.assert_allclose(np.argwhere(crop)[:, 1:].mean(0), expected, atol=0.5)
