"""Several networks and mirror images as one: what must hold whatever the weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nodulenet.files import InputError
from nodulenet.inference.predictor import (
    MIRRORS,
    Member,
    Predictor,
    ScanPrediction,
    load_members,
)
from nodulenet.inference.scan import _for_score, predict_window
from nodulenet.masks import CroppedMask
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, save_weights
from nodulenet.settings import InferenceSettings, Recipe

CPU = torch.device("cpu")

# No multiple of 16, so that the mirror images of the padded volume are not those of the volume.
VOLUME = np.random.default_rng(0).integers(0, 255, (24, 28, 36)).astype(np.uint8)
WHOLE = np.random.default_rng(1).integers(0, 255, (32, 16, 32)).astype(np.uint8)
SETTINGS = InferenceSettings(ncs_threshold=0.6)  # a dozen candidates of an untrained network
LOW = InferenceSettings(ncs_threshold=0.5)
ALL = ("ncs", "dfps", "sr")


def provenance(branches: tuple[str, ...] = ALL, **settings: object) -> Provenance:
    settings = {"model": {"width": 0.1}} | settings
    return Provenance(Recipe.model_validate(settings), branches, "full", 0, 1)


def predict(members: list[Member], volume: np.ndarray, **how: object) -> ScanPrediction:
    return predict_window(Predictor(members, **{"settings": SETTINGS, "amp": False, **how}), volume)


def network(seed: int) -> NoduleNet:
    torch.manual_seed(seed)
    net = NoduleNet(width=0.1).eval()
    torch.nn.init.normal_(net.ncs.logits.weight, std=3)
    torch.nn.init.normal_(net.sr.logits.weight, std=3)
    return net


def member(seed: int, branches: tuple[str, ...] = ALL) -> Member:
    return Member(network(seed), provenance(branches), Path("w.pt"))


def check_same(one: ScanPrediction, two: ScanPrediction) -> None:
    np.testing.assert_allclose(one.ncs_boxes, two.ncs_boxes, atol=1e-3)
    np.testing.assert_allclose(one.ncs_probability, two.ncs_probability, atol=1e-5)
    np.testing.assert_array_equal(one.kept, two.kept)
    assert one.dfps_boxes is not None
    assert two.dfps_boxes is not None
    np.testing.assert_allclose(one.dfps_boxes, two.dfps_boxes, atol=1e-2)
    assert list(one.masks) == list(two.masks)
    for row, mask in one.masks.items():
        assert mask.offset == two.masks[row].offset
        np.testing.assert_array_equal(mask.mask, two.masks[row].mask)


@pytest.mark.parametrize("map_of_dfps", ["enc2", "dec2"])
def test_of_many_runs_only_the_map_that_is_scored_stays_in_memory(map_of_dfps: str) -> None:
    net = NoduleNet(width=0.1, dfps_features=map_of_dfps).eval()
    with torch.inference_mode():
        whole = net.backbone(torch.zeros(1, 1, 32, 32, 32))
    kept = _for_score(whole, net)
    assert {name for name in kept._fields if getattr(kept, name).numel()} == {map_of_dfps}
    assert getattr(kept, map_of_dfps) is getattr(whole, map_of_dfps)


def test_a_network_twice_is_the_network_once() -> None:
    own = member(4)
    check_same(
        predict([own, own], VOLUME),
        predict([own], VOLUME),
    )


def test_members_are_averaged_in_any_order() -> None:
    members = [member(4), member(7)]
    found = predict(members, VOLUME)
    check_same(found, predict(members[::-1], VOLUME))
    assert len(found.ncs_boxes) > 3


def test_probabilities_are_the_means_of_the_members() -> None:
    """At biases alone every anchor has the same probability, and so has every box."""
    members = []
    for seed, ncs, dfps in ((1, 2.0, 0.0), (2, 0.0, 1.0)):
        net = network(seed)
        for layer in (net.ncs.logits, net.ncs.deltas, net.dfps.logits, net.dfps.deltas):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        torch.nn.init.constant_(net.ncs.logits.bias, ncs)
        with torch.no_grad():
            net.dfps.logits.bias[1] = dfps
        members.append(Member(net, provenance(("ncs", "dfps")), Path("w.pt")))
    # Logits 2 and 0: the second alone is not above the threshold, their mean is.
    found = predict(members, VOLUME)
    sigmoid = {logit: 1 / (1 + np.exp(-logit)) for logit in (0.0, 1.0, 2.0)}
    assert len(found.ncs_boxes) > 0
    np.testing.assert_allclose(found.ncs_probability, (sigmoid[2] + sigmoid[0]) / 2, atol=1e-6)
    assert found.dfps_probability is not None
    np.testing.assert_allclose(found.dfps_probability, (sigmoid[0] + sigmoid[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_a_mirrored_scan_has_mirrored_findings(axes: tuple[int, ...]) -> None:
    """With all eight images the network no longer tells left from right. The grid of a volume
    of whole multiples of 16 mirrors onto itself.
    """
    own = member(4, ("ncs",))
    one = predict([own], WHOLE, settings=LOW, mirrors=MIRRORS)
    turned = np.flip(WHOLE, axes).copy()
    other = predict([own], turned, settings=LOW, mirrors=MIRRORS)
    assert len(one.ncs_boxes) > 3
    expected = one.ncs_boxes.copy()
    for axis in axes:
        expected[:, axis] = WHOLE.shape[axis] - 1 - expected[:, axis]
    np.testing.assert_allclose(other.ncs_probability, one.ncs_probability, atol=1e-4)
    np.testing.assert_allclose(other.ncs_boxes, expected, atol=1e-2)


def test_a_mirror_image_alone_is_the_prediction_of_the_mirrored_volume() -> None:
    """Boxes, second opinions and masks. Anchors of side 10 alone and no offsets: their corners
    are mirrored onto corners that are snapped alike.
    """
    own = member(4)
    for layer in (own.net.ncs.deltas, own.net.dfps.deltas):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        own.net.ncs.logits.bias[[0, 2, 3, 4]] = -1000
    found = predict([own], WHOLE, mirrors=[(0, 2)])
    turned = np.flip(WHOLE, (0, 2)).copy()
    plain = predict([own], turned)
    size = np.array(WHOLE.shape)
    expected = plain.ncs_boxes.copy()
    expected[:, [0, 2]] = (size - 1)[[0, 2]] - expected[:, [0, 2]]
    np.testing.assert_allclose(found.ncs_boxes, expected, atol=1e-3)
    np.testing.assert_allclose(found.ncs_probability, plain.ncs_probability, atol=1e-5)
    assert found.dfps_probability is not None
    np.testing.assert_allclose(found.dfps_probability, plain.dfps_probability, atol=1e-5)
    assert list(found.masks) == list(plain.masks)
    assert len(found.masks) > 2
    for row, mask in found.masks.items():
        whole, mirrored = np.zeros((2, *WHOLE.shape), bool)
        paste(mask, whole)
        paste(plain.masks[row], mirrored)
        np.testing.assert_array_equal(whole, np.flip(mirrored, (0, 2)))


def paste(mask: CroppedMask, into: np.ndarray) -> None:
    box = tuple(slice(a, a + n) for a, n in zip(mask.offset, mask.mask.shape, strict=True))
    into[box] = mask.mask


def test_only_probable_candidates_are_segmented_and_steps_are_counted() -> None:
    members, seen = [member(4), member(7)], []
    predictor = Predictor(members, SETTINGS, amp=False)
    whole = predict_window(predictor, VOLUME, advance=lambda: seen.append(1))
    assert len(seen) == predictor.steps == 4
    assert whole.dfps_probability is not None
    mean = (whole.ncs_probability + whole.dfps_probability) / 2
    least = float(np.median(mean[list(whole.masks)]))
    part = predict(members, VOLUME, least=least)
    assert 0 < len(part.masks) < len(whole.masks)
    assert all(mean[row] >= least for row in part.masks)
    np.testing.assert_array_equal(part.kept, whole.kept)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"preprocess": {"margin": 6}}, "preprocessing"),
        ({"branches": ("ncs", "dfps")}, "choice of branches"),
        ({"targets": {"margin_total": 4}}, "margin of boxes"),
        ({"sr": {"snap": "truncate"}}, "snapping of boxes"),
    ],
)
def test_members_must_fit_together(tmp_path: Path, changes: dict, what: str) -> None:
    save_weights(network(1), provenance(), tmp_path / "a.pt")
    save_weights(network(2), provenance(**changes), tmp_path / "b.pt")
    (own,) = load_members([tmp_path / "a.pt"], CPU)
    assert not own.net.training
    with pytest.raises(InputError, match=rf"b\.pt: trained with another {what} than .*a\.pt"):
        load_members([tmp_path / "a.pt", tmp_path / "b.pt"], CPU)
