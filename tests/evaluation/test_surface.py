"""Surface distances: by hand, against brute force, and laws that they obey."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.evaluation.masks import compare_masks, surface_distance
from nodulenet.masks import NO_MASK, CroppedMask

CUBE = CroppedMask(np.ones((3, 3, 3), bool), (4, 4, 4))
VOXEL = np.array([2.0, 0.5, 0.7])


def shifted(mask, by):
    return CroppedMask(mask.mask, tuple(int(a + b) for a, b in zip(mask.offset, by, strict=True)))


@st.composite
def masks(draw):
    """A mask that need not be convex, whole or tight in its box, and has a voxel."""
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.floats(0.1, 1))
    mask = np.random.default_rng(seed).random(shape) < share
    mask[draw(st.tuples(*(st.integers(0, n - 1) for n in shape)))] = True
    return CroppedMask(mask, draw(st.tuples(*[st.integers(-3, 6)] * 3)))


def brute_surface(cropped, voxel_mm):
    """Voxels of a mask that have one of six neighbours outside of it, one by one."""
    voxels = {
        tuple(int(i) for i in index + np.array(cropped.offset))
        for index in np.argwhere(cropped.mask)
    }
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, s)) == 1]
    outer = [v for v in voxels if any(tuple(np.add(v, s).tolist()) not in voxels for s in steps)]
    return [np.multiply(v, voxel_mm) for v in outer]


def brute_distance(a, b, voxel_mm):
    """Mean and 95th percentile over all pairs of surface voxels."""
    first, second = brute_surface(a, voxel_mm), brute_surface(b, voxel_mm)
    there, back = (
        [min(np.sqrt(((p - q) ** 2).sum()) for q in others) for p in points]
        for points, others in ((first, second), (second, first))
    )
    mean = sum(there + back) / (len(there) + len(back))
    return mean, max(np.quantile(there, 0.95), np.quantile(back, 0.95))


def test_two_cubes_one_voxel_apart():
    # Of the 26 surface voxels of each, those of the two faces across the shift and the rims
    # between lie within the other's surface, but for 9 beyond it (1 voxel away) and the one
    # inside it: the centre of the near face, which is 1 voxel from the other's surface too.
    distance = surface_distance(CUBE, shifted(CUBE, (0, 0, 1)), np.ones(3))
    assert distance.mean == pytest.approx(10 / 26)
    assert distance.p95 == 1
    # Along z the same voxels are 2 mm away; the inner one is 0.5 mm from the face across y.
    distance = surface_distance(CUBE, shifted(CUBE, (1, 0, 0)), VOXEL)
    assert distance.mean == pytest.approx((9 * 2 + 0.5) / 26)
    assert distance.p95 == 2


def test_percentile_is_of_the_worse_direction():
    # All of the cube's surface is the bar's or 1 voxel off; the bar reaches 12 voxels beyond.
    bar = CroppedMask(np.ones((3, 3, 15), bool), (4, 4, 4))
    there, back = (surface_distance(*pair, np.ones(3)) for pair in ((CUBE, bar), (bar, CUBE)))
    assert there == back
    assert there.p95 > 11


@given(masks(), masks(), st.tuples(*[st.floats(0.3, 3)] * 3))
def test_as_by_brute_force(a, b, voxel_mm):
    expected = brute_distance(a, b, voxel_mm)
    assert surface_distance(a, b, np.array(voxel_mm)) == pytest.approx(expected)


@given(masks(), masks())
def test_symmetric_but_for_the_volume_error(a, b):
    there, back = compare_masks(a, b, VOXEL), compare_masks(b, a, VOXEL)
    for score in ("dice", "iou", "surface_mean_mm", "surface_p95_mm"):
        assert there[score] == pytest.approx(back[score])
    assert there["volume_error_mm3"] == -back["volume_error_mm3"]
    assert 0 <= there["iou"] <= there["dice"] <= 1


@given(masks())
def test_a_mask_is_like_itself_however_it_is_cropped(a):
    padded = shifted(CroppedMask(np.pad(a.mask, 2), a.offset), (-2, -2, -2))
    scores = compare_masks(a, padded, VOXEL)
    assert scores == {
        "dice": 1,
        "iou": 1,
        "surface_mean_mm": 0,
        "surface_p95_mm": 0,
        "volume_error_mm3": 0,
        "volume_error_relative": 0,
    }


def test_volume_error_is_of_the_voxel_size():
    scores = compare_masks(CUBE, CroppedMask(np.ones((3, 3, 2), bool), (4, 4, 4)), VOXEL)
    assert scores["volume_error_mm3"] == pytest.approx(9 * 0.7)
    assert scores["volume_error_relative"] == 0.5


def test_without_a_mask_there_is_no_distance():
    missed = compare_masks(NO_MASK, CUBE, np.ones(3))
    assert (missed["dice"], missed["iou"]) == (0, 0)
    assert np.isnan([missed["surface_mean_mm"], missed["surface_p95_mm"]]).all()
    assert (missed["volume_error_mm3"], missed["volume_error_relative"]) == (-27, -1)
    extra = compare_masks(CUBE, NO_MASK, np.ones(3))
    assert extra["volume_error_mm3"] == 27
    assert np.isnan(extra["volume_error_relative"])
    assert compare_masks(NO_MASK, NO_MASK, np.ones(3))["dice"] == 0
