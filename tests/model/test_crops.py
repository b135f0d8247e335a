"""RoIs, SR crops and pooling against hand-worked cases and torch's own pooling."""

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_max_pool3d

from nodulenet.model.crops import roi_corners, roi_pool, sr_corners


def box(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_roi_corners_are_a_quarter_floored_and_ceiled() -> None:
    low, high = roi_corners(box(10, 11, 12, 4, 10, 7.9), (8, 8, 8))
    assert low.tolist() == [[2, 1, 2]]  # 8/4, 6/4, 8.05/4
    assert high.tolist() == [[3, 4, 4]]  # 12/4, 16/4, 15.95/4


@pytest.mark.parametrize("centre", [-30.0, 90.0])
def test_rois_beyond_the_map_keep_one_voxel(centre: float) -> None:
    low, high = roi_corners(box(centre, 4, 4, 4, 4, 4), (8, 8, 8))
    assert (high - low >= 1).all()
    assert (low >= 0).all()
    assert (high <= 8).all()


def test_sr_crops_are_snapped_outwards_to_multiples_of_four() -> None:
    low, high = sr_corners(box(16, 16, 16, 8, 9, 15), (64, 64, 64), "outward")
    assert low.tolist() == [[12, 8, 8]]  # 12, 11.5, 8.5
    assert high.tolist() == [[20, 24, 24]]  # 20, 20.5, 23.5


def test_truncated_corners_lose_their_fraction_first() -> None:
    low, high = sr_corners(box(16, 16, 16, 8, 9, 15), (64, 64, 64), "truncate")
    assert low.tolist() == [[12, 8, 8]]
    assert high.tolist() == [[20, 20, 24]]  # 20.5 becomes 20


@pytest.mark.parametrize("centre", [-40.0, 100.0])
def test_an_sr_crop_that_clipping_empties_is_four_voxels_wide(centre: float) -> None:
    low, high = sr_corners(box(centre, 8, 8, 8, 8, 8), (64, 64, 64), "outward")
    assert (high - low).tolist() == [[4, 8, 8]]
    assert (low >= 0).all()
    assert (high <= 64).all()


def random_boxes(number: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    centres = rng.uniform(-2, 50, (number, 3))
    return np.concatenate([centres, rng.uniform(1, 40, (number, 3))], 1).astype(np.float32)


def test_roi_pool_is_the_adaptive_pool_of_every_roi_and_has_its_gradient() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 10, 12, 12, requires_grad=True)
    boxes, items = random_boxes(20), np.arange(20) % 2
    weight = torch.randn(20, 3, 7, 7, 7)
    pooled = roi_pool(features, items, boxes)
    (gradient,) = torch.autograd.grad((pooled * weight).sum(), features)

    low, high = roi_corners(boxes, (10, 12, 12))
    expected = torch.stack(
        [
            adaptive_max_pool3d(features[i, :, a[0] : b[0], a[1] : b[1], a[2] : b[2]], 7)
            for i, a, b in zip(items, low, high, strict=True)
        ]
    )
    torch.testing.assert_close(pooled, expected)
    (wanted,) = torch.autograd.grad((expected * weight).sum(), features)
    torch.testing.assert_close(gradient, wanted)


def test_no_boxes_pool_to_nothing() -> None:
    pooled = roi_pool(torch.zeros(1, 4, 8, 8, 8), np.zeros(0, int), np.zeros((0, 6), np.float32))
    assert pooled.shape == (0, 4, 7, 7, 7)
