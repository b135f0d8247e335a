"""RoI pooling and crops against torch's own pooling and slices of every box."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d

from nodulenet.model.corners import roi_corners
from nodulenet.model.roi_pool import CropGroup, cut, roi_pool


def random_boxes(number: int) -> Tensor:
    generator = torch.manual_seed(3)
    centres = torch.rand(number, 3, generator=generator) * 52 - 2
    return torch.cat([centres, torch.rand(number, 3, generator=generator) * 39 + 1], 1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_roi_pool_is_the_adaptive_pool_of_every_roi_and_has_its_gradient(
    layout: torch.memory_format,
) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 10, 12, 12).round(decimals=1)  # with ties
    features = features.to(memory_format=layout).requires_grad_()
    boxes, items = random_boxes(60), torch.arange(60) % 2
    weight = torch.randn(60, 3, 7, 7, 7)
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
    none = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 6)
    assert roi_pool(torch.zeros(1, 4, 8, 8, 8), *none).shape == (0, 4, 7, 7, 7)


def test_crops_are_slices_and_have_their_gradient() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 6, 7, 8, requires_grad=True)
    groups = [
        CropGroup((4, 4, 4), np.array([[1, 0, 2, 4], [0, 8, 10, 12], [1, 0, 2, 6]])),
        CropGroup((8, 4, 2), np.array([[0, 2, 4, 0]])),
    ]
    crops = cut(maps, groups, 2)
    total, expected = torch.zeros(()), torch.zeros(())
    for (size, places), found in zip(groups, crops, strict=True):
        for (item, *low), crop in zip(places.tolist(), found, strict=True):
            ends = zip(low, size, strict=True)
            span = tuple(slice(a // 2, (a + side) // 2) for a, side in ends)
            slices = maps[(item, slice(None), *span)]
            assert torch.equal(crop, slices)
            weight = torch.randn(crop.shape)
            total, expected = total + (crop * weight).sum(), expected + (slices * weight).sum()
    gradients = [torch.autograd.grad(value, maps)[0] for value in (total, expected)]
    torch.testing.assert_close(*gradients)
