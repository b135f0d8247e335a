"""Prediction of one volume by an untrained network: what must hold whatever its weights."""

from itertools import combinations

import numpy as np
import pytest
import torch

from nodulenet.boxes import iou_matrix
from nodulenet.inference import scan as scan_module
from nodulenet.inference.predictor import Member, Pass, Predictor, ScanPrediction
from nodulenet.inference.scan import _segment, padded, predict_window
from nodulenet.masks import mask_iou
from nodulenet.model import NoduleNet
from nodulenet.model.backbone import Features
from nodulenet.model.roi_pool import CropGroup
from nodulenet.model.weights import Provenance
from nodulenet.settings import InferenceSettings, Recipe

VOLUME = np.random.default_rng(0).integers(0, 255, (40, 44, 52)).astype(np.uint8)
SETTINGS = InferenceSettings(ncs_threshold=0.5)


@pytest.fixture(scope="module")
def net() -> NoduleNet:
    torch.manual_seed(4)
    net = NoduleNet(width=0.1).eval()
    torch.nn.init.normal_(net.ncs.logits.weight, std=3)
    torch.nn.init.normal_(net.sr.logits.weight, std=3)
    return net


def member(net: NoduleNet, branches: tuple[str, ...], **sections: dict) -> Member:
    trained = Recipe.model_validate({"model": {"width": 0.1}, **sections})
    return Member(net, Provenance(trained, branches, "full", 0, 1))


def predict(net: NoduleNet, branches: tuple[str, ...], **sections: dict) -> ScanPrediction:
    predictor = Predictor([member(net, branches, **sections)], SETTINGS, amp=False)
    return predict_window(predictor, VOLUME)


def test_candidates_are_above_the_threshold_and_do_not_overlap(net: NoduleNet) -> None:
    found = predict(net, ("ncs",))
    assert len(found.ncs_boxes) > 5
    assert (found.ncs_probability > 0.5).all()
    assert (np.diff(found.ncs_probability) <= 0).all()
    overlap = iou_matrix(found.ncs_boxes, found.ncs_boxes)
    assert (overlap[np.triu_indices(len(overlap), 1)] < 0.1).all()
    assert (found.ncs_boxes[:, :3] >= 0).all()
    assert (found.ncs_boxes[:, :3] <= np.array(VOLUME.shape) - 1).all()
    assert found.dfps_boxes is None
    assert found.kept.all()


def test_kept_decoded_boxes_do_not_overlap_and_the_others_hit_a_better_one(net: NoduleNet) -> None:
    found = predict(net, ("ncs", "dfps"))
    assert found.dfps_boxes is not None
    assert found.dfps_probability is not None
    overlap = iou_matrix(found.dfps_boxes, found.dfps_boxes)
    for i, kept in enumerate(found.kept):
        better = found.kept & (found.dfps_probability >= found.dfps_probability[i])
        better[i] = False
        assert (overlap[i, better] >= 0.1).any() != kept
    assert found.masks == {}


def test_without_regression_the_boxes_stay(net: NoduleNet) -> None:
    found = predict(net, ("ncs", "dfps"), dfps={"regression": False})
    np.testing.assert_array_equal(found.dfps_boxes, found.ncs_boxes)


def test_masks_belong_to_kept_rows_lie_inside_and_hardly_overlap(net: NoduleNet) -> None:
    found = predict(net, ("ncs", "dfps", "sr"))
    assert len(found.masks) > 3
    for row, m in found.masks.items():
        assert found.kept[row]
        assert m.mask.any()
        assert min(m.offset) >= 0
        assert (np.array(m.offset) + m.mask.shape <= VOLUME.shape).all()
    for a, b in combinations(found.masks.values(), 2):
        assert mask_iou(a, b) <= 0.3


def test_a_mask_is_where_a_nodule_is_likelier_than_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities of one half and less are outside, all above are inside."""
    logits = torch.full((8, 8, 8), -4.0)
    logits[2, 3, 1:6] = torch.tensor([-0.5, 0.0, 0.001, 0.5, 4.0])
    net = NoduleNet(width=0.1)
    monkeypatch.setattr(net.sr, "forward", lambda *_: [logits[None]])
    image = torch.zeros(1, 1, 32, 32, 32)
    boxes = torch.tensor([[12.0, 12, 12, 8, 8, 8]])
    features = Features(image, image, image, image)
    alone = Pass(member(net, ("ncs", "dfps", "sr")), ())
    (found,) = _segment([alone], [features], boxes, (32, 32, 32), (32, 32, 32))
    assert found.offset == (8 + 2, 8 + 3, 8 + 3)
    assert found.mask.shape == (1, 1, 3)
    assert found.mask.all()


def test_crops_of_one_size_run_together_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan_module, "VOXELS_AT_ONCE", 2 * 8**3)
    sizes, seen = [8, 12, 8, 8, 12, 8, 32], []

    def sr(_: Features, groups: list[CropGroup]) -> list[torch.Tensor]:
        ((size, places),) = groups
        seen.append((size[0], places[:, 1].tolist()))
        logits = torch.full((len(places), *size), -9.0)
        logits[:, 0, 0, 0] = 9  # a mask of one voxel, at the corner of its crop
        return [logits]

    net = NoduleNet(width=0.1)
    monkeypatch.setattr(net.sr, "forward", sr)
    image = torch.zeros(1, 1, 128, 128, 128)
    rows = [[16 * k + s / 2, 64, 64, s, s, s] for k, s in enumerate(sizes)]
    alone = Pass(member(net, ("ncs", "dfps", "sr")), ())
    features = Features(image, image, image, image)
    found = _segment([alone], [features], torch.tensor(rows), (128,) * 3, (128,) * 3)
    assert [mask.offset[0] for mask in found] == [16 * k for k in range(7)]
    assert seen == [(8, [0, 32]), (8, [48, 80]), (12, [16]), (12, [64]), (32, [96])]


def test_padding_is_at_the_far_ends() -> None:
    image = padded(VOLUME, 170)
    assert image.shape == (48, 48, 64)
    np.testing.assert_array_equal(image[:40, :44, :52], VOLUME)
    assert (image[40:] == 170).all()
