"""The published network at width 1 has the shapes of the layer table."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import instance_norm

from nodulenet.boxes.anchors import ANCHOR_SIDES, anchor_grid
from nodulenet.model import NoduleNet
from nodulenet.model.backbone import ResidualBlock
from nodulenet.model.heads import norm_each, norm_together
from nodulenet.model.network import normalise
from nodulenet.model.roi_pool import CropGroup
from nodulenet.model.weights import Provenance, load_weights, save_weights
from nodulenet.settings import Recipe

# part: resolution divisor and channels of its output
BACKBONE = {
    "stem": (2, 24),
    "enc1": (2, 32),
    "enc2": (4, 64),
    "enc3": (8, 64),
    "enc4": (16, 64),
    "up3": (8, 64),
    "dec3": (8, 64),
    "up2": (4, 64),
    "dec2": (4, 128),
}
BLOCKS = {
    "enc1": [(24, 32), (32, 32)],
    "enc2": [(32, 64), (64, 64)],
    "enc3": [(64, 64)] * 3,
    "enc4": [(64, 64)] * 3,
    "dec3": [(128, 64), (64, 64), (64, 64)],
    "dec2": [(128, 128)] * 3,
}


@pytest.fixture(scope="module")
def published() -> NoduleNet:
    torch.manual_seed(0)
    return NoduleNet().eval()


def test_backbone_has_the_resolutions_and_channels_of_the_table(published: NoduleNet) -> None:
    shapes = {}
    hooks = [
        part.register_forward_hook(lambda _m, _i, out, name=name: shapes.update({name: out.shape}))
        for name, part in published.backbone.named_children()
    ]
    with torch.no_grad():
        published(torch.zeros(1, 1, 32, 48, 64))
    for hook in hooks:
        hook.remove()
    assert shapes == {
        name: (1, channels, 32 // step, 48 // step, 64 // step)
        for name, (step, channels) in BACKBONE.items()
    }


def test_backbone_has_the_blocks_of_the_table(published: NoduleNet) -> None:
    found = {
        name: [
            (block.body[0].in_channels, block.body[3].out_channels)
            for block in part
            if isinstance(block, ResidualBlock)
        ]
        for name, part in published.backbone.named_children()
    }
    assert {name: blocks for name, blocks in found.items() if blocks} == BLOCKS


def test_a_block_has_a_shortcut_convolution_only_where_the_shape_changes() -> None:
    assert isinstance(ResidualBlock(8, 8).shortcut, nn.Identity)
    convolution, normalisation = ResidualBlock(8, 16).shortcut
    assert convolution.kernel_size == (1, 1, 1)
    assert isinstance(normalisation, nn.BatchNorm3d)


def test_every_convolution_has_a_bias(published: NoduleNet) -> None:
    layers = [m for m in published.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
    assert len(layers) > 40
    assert all(layer.bias is not None for layer in layers)


def test_ncs_head_answers_for_every_anchor(published: NoduleNet) -> None:
    with torch.no_grad():
        _, logits, deltas = published(torch.zeros(2, 1, 16, 32, 48))
    number = len(anchor_grid((4, 8, 12), torch.device("cpu")))
    assert logits.shape == (2, number)
    assert deltas.shape == (2, number, 6)


def test_ncs_outputs_stand_in_the_order_of_the_anchors(published: NoduleNet) -> None:
    dec2 = torch.randn(1, 128, 2, 3, 4)
    head = published.ncs
    with torch.no_grad():
        logits, deltas = head(dec2)
        hidden = head.body(dec2)
        raw_logits, raw_deltas = head.logits(hidden)[0], head.deltas(hidden)[0]
    for row, anchor in enumerate(anchor_grid((2, 3, 4), torch.device("cpu")).numpy()):
        z, y, x = ((anchor[:3] - 1.5) / 4).astype(int)
        a = ANCHOR_SIDES.index(anchor[3])
        assert logits[0, row] == pytest.approx(float(raw_logits[a, z, y, x]), abs=1e-6)
        expected = raw_deltas[6 * a : 6 * a + 6, z, y, x]
        torch.testing.assert_close(deltas[0, row], expected)


def test_dfps_head_is_two_hidden_layers_and_class_one_is_the_nodule(published: NoduleNet) -> None:
    layers = [m for m in published.dfps.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in layers] == [
        (64 * 343, 512),
        (512, 256),
        (256, 2),
        (256, 12),
    ]
    pooled = torch.randn(3, 64, 7, 7, 7)
    with torch.no_grad():
        logits, deltas = published.dfps(pooled)
        every = published.dfps.deltas(published.dfps.body(pooled.flatten(1)))
    assert logits.shape == (3, 2)
    torch.testing.assert_close(deltas, every[:, 6:])


@pytest.mark.parametrize("branch", ["ncs", "dfps"])
def test_probabilities_and_boxes_are_float32_under_autocast(
    published: NoduleNet, branch: str
) -> None:
    """bfloat16 has 128 values between 0.5 and 1: many boxes would share one."""
    shape = {"ncs": (1, 128, 4, 4, 4), "dfps": (9, 64, 7, 7, 7)}[branch]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits, deltas = getattr(published, branch)(torch.randn(shape).bfloat16())
    for found in (logits, deltas):
        assert found.dtype == torch.float32
        assert (found != found.bfloat16()).float().mean() > 0.9


def test_sr_head_returns_the_crop_at_full_resolution(published: NoduleNet) -> None:
    inputs = {}
    for name in ("to_half", "at_half", "to_full", "at_full"):
        layer = getattr(published.sr, name)[0]
        inputs[name] = (layer.in_channels, layer.out_channels)
        assert layer.kernel_size == (3, 3, 3)
    assert inputs == {
        "to_half": (128, 64),
        "at_half": (96, 64),
        "to_full": (64, 64),
        "at_full": (65, 64),
    }
    with torch.no_grad():
        features, _, _ = published(torch.zeros(1, 1, 32, 32, 32))
        places = np.array([[0, 4, 8, 0], [0, 4, 0, 8]])
        groups = [CropGroup((8, 20, 4), places), CropGroup((4, 4, 4), places[:1])]
        shapes = [logits.shape for logits in published.sr(features, groups)]
    assert shapes == [(2, 8, 20, 4), (1, 4, 4, 4)]


def test_sr_head_sees_its_own_crop_only(published: NoduleNet) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        features, _, _ = published(torch.randn(2, 1, 32, 32, 32))
        groups = [CropGroup((16, 8, 8), np.array([[1, 8, 8, 8]]))]
        before = published.sr(features, groups)
        features.dec2[0] = 0
        features.enc1[1, :, :4] = 0
        features.image[1, :, 24:] = 0
        torch.testing.assert_close(published.sr(features, groups), before)
        features.enc1[1, :, 4] = 0
        assert not torch.equal(published.sr(features, groups)[0], before[0])


def test_crops_are_normalised_one_by_one_in_both_ways() -> None:
    torch.manual_seed(3)
    x = torch.randn(3, 4, 4, 8, 4) * torch.tensor([1.0, 5, 0.1])[:, None, None, None, None]
    weight, bias = torch.rand(4), torch.randn(4)
    expected = instance_norm(x, weight=weight, bias=bias)
    for how in (norm_each, norm_together):
        torch.testing.assert_close(how(x, weight, bias, 1e-5), expected)


def test_suppression_can_see_the_deep_features_instead(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = {"width": 0.1, "dfps_features": "dec2"}
    saved = NoduleNet(**model)
    assert saved.dfps.body[0].in_features == 13 * 343
    assert NoduleNet(dfps_features="dec2").dfps.body[0].in_features == 128 * 343
    settings = Recipe.model_validate({"model": model})
    provenance = Provenance(settings, ("ncs", "dfps"), "dfps", 0, 1)
    save_weights(saved, provenance, tmp_path / "weights.pt")
    single = load_weights(tmp_path / "weights.pt")[0].eval()
    item, box = torch.tensor([0]), torch.tensor([[16.0, 16, 16, 12, 12, 12]])
    with torch.no_grad():
        features, _, _ = single(torch.randn(1, 1, 32, 32, 32))
        before, _ = single.score(features, item, box)
        features.enc2.zero_()
        torch.testing.assert_close(single.score(features, item, box)[0], before)
        features.dec2.zero_()
        assert not torch.equal(single.score(features, item, box)[0], before)


def test_width_scales_the_channels() -> None:
    half = NoduleNet(width=0.5)
    assert half.backbone.dec2[0].body[0].out_channels == 64
    assert half.dfps.body[0].in_features == 32 * 343


def test_input_is_centred_at_128() -> None:
    image = torch.tensor([0, 128, 255], dtype=torch.uint8)
    torch.testing.assert_close(normalise(image), torch.tensor([-1.0, 0.0, 127 / 128]))
