"""RoI pooling against torch's own pooling of every crop."""

import numpy as np
import torch
from torch.nn.functional import adaptive_max_pool3d

from nodulenet.model.corners import roi_corners
from nodulenet.model.roi_pool import find_maxima, pool_each, roi_pool


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


def test_both_ways_to_find_the_maxima_agree() -> None:
    rng = np.random.default_rng(1)
    maps = torch.from_numpy(rng.integers(0, 9, (2, 3, 9, 10, 11)).astype(np.float32))
    items = np.arange(30) % 2
    low, high = roi_corners(random_boxes(30), (9, 10, 11))
    expected = pool_each(maps, items, low, high)
    torch.testing.assert_close(find_maxima(maps, items, low, high), expected)
