"""Precision: which convolutions leave bfloat16, and which device is taken."""

import numpy as np
import pytest
import torch
from torch import nn

from nodulenet.files import InputError
from nodulenet.model import NoduleNet
from nodulenet.model.device import choose_device, convolved
from nodulenet.model.roi_pool import CropGroup


@pytest.mark.parametrize(("side", "expected"), [(2, torch.float32), (4, torch.bfloat16)])
def test_convolutions_of_two_voxels_are_float32(side: int, expected: torch.dtype) -> None:
    layer = nn.Conv3d(2, 3, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolved(layer, torch.zeros(1, 2, side, 4, 4)).dtype == expected


def test_the_gradients_of_the_smallest_crops_are_those_of_float32() -> None:
    torch.manual_seed(0)
    net = NoduleNet(width=0.25)
    image = torch.randn(1, 1, 32, 32, 32)
    groups = [CropGroup((4, 4, 4), np.array([[0, 8, 8, 8]]))]
    gradients = []
    for amp in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            features, _, _ = net(image)
            net.sr(features, groups)[0].square().mean().backward()
        gradient = net.sr.to_half[0].weight.grad
        assert gradient is not None
        gradients.append(gradient.clone())
    similarity = torch.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0)
    assert similarity > 0.95


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="device: cuda was requested"):
        choose_device("cuda")
