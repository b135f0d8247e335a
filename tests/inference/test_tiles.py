"""Tiles part the volume, and joining them gives what the whole volume gives."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodulenet.boxes import nms
from nodulenet.inference.predictor import Member, Predictor, ScanPrediction
from nodulenet.inference.tiles import predict_tiled, predict_volume, tiles
from nodulenet.masks import CroppedMask, suppress_masks
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance
from nodulenet.settings import InferenceSettings, ModelSettings, Recipe

SETTINGS = InferenceSettings(halo=32, tile=128)


@given(
    st.tuples(*[st.integers(1, 200)] * 3),
    st.sampled_from([(128, 32), (128, 48), (144, 64), (192, 16)]),
)
def test_cores_part_the_volume_and_windows_hold_them(
    shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    side, halo = size
    count = np.zeros(shape, np.uint8)
    for core, window in tiles(shape, side, halo):
        count[core] += 1
        for c, w, n in zip(core, window, shape, strict=True):
            assert w.start % 16 == 0
            assert w.stop - w.start <= side
            assert w.start == max(c.start - halo, 0)
            assert w.stop == min(c.stop + halo, n)
    assert (count == 1).all()


def test_tiles_by_hand() -> None:
    cores = [(0, 32), (32, 64), (64, 70)]
    windows = [(0, 48), (16, 70), (48, 70)]
    expected = [
        ((slice(0, 5), slice(*cy), slice(0, 32)), (slice(0, 5), slice(*wy), slice(0, 32)))
        for cy, wy in zip(cores, windows, strict=True)
    ]
    assert list(tiles((5, 70, 32), 64, 16)) == expected


def test_halos_that_leave_no_core_are_refused() -> None:
    with pytest.raises(ValueError, match="tiles of 128 voxels have no core between halos of 64"):
        next(tiles((5, 5, 5), 128, 64))
    assert len(list(tiles((32, 16, 16), 144, 64))) == 2


def detect_points(volume: np.ndarray) -> ScanPrediction:
    """A stand-in for the network: a box of 9 voxels and a mask of 3 at every bright voxel."""
    centres = np.argwhere(volume > 0)
    probability = volume[tuple(centres.T)].astype(np.float32) / 256
    boxes = np.concatenate([centres, np.full((len(centres), 3), 9)], 1).astype(np.float32)
    rows = nms(boxes, probability, SETTINGS.nms_iou)
    boxes, probability = boxes[rows], probability[rows]
    masks = {}
    for row, (z, y, x) in enumerate(boxes[:, :3].astype(int).tolist()):
        masks[row] = CroppedMask(np.ones((3, 3, 3), bool), (z - 1, y - 1, x - 1))
    kept = np.ones(len(boxes), bool)
    masks = suppress_masks(masks, SETTINGS.mask_iou)
    return ScanPrediction(boxes, probability, boxes.copy(), probability, kept, masks)


def test_joined_tiles_give_the_detections_of_the_whole_volume() -> None:
    rng = np.random.default_rng(0)
    volume = np.zeros((150, 170, 200), np.uint8)
    places = rng.integers(4, 146, (300, 3))
    volume[tuple(places.T)] = rng.permutation(300) % 255 + 1
    whole, joined = detect_points(volume), predict_tiled(detect_points, volume, SETTINGS)

    def found(p: ScanPrediction) -> set[tuple[float, ...]]:
        return {
            (*box, prob, k, row in p.masks)
            for row, (box, prob, k) in enumerate(
                zip(p.ncs_boxes.tolist(), p.ncs_probability.tolist(), p.kept.tolist(), strict=True)
            )
        }

    assert len(whole.ncs_boxes) > 100
    assert found(joined) == found(whole)
    for row, m in joined.masks.items():
        assert m.offset == tuple((joined.dfps_boxes[row, :3] - 1).astype(int))


@pytest.mark.parametrize("branches", [("ncs",), ("ncs", "dfps", "sr")])
def test_a_volume_of_one_tile_is_predicted_as_it_is(branches: tuple[str, ...]) -> None:
    torch.manual_seed(4)
    net = NoduleNet(width=0.1).eval()
    torch.nn.init.normal_(net.ncs.logits.weight, std=3)
    volume = np.random.default_rng(0).integers(0, 255, (40, 44, 52)).astype(np.uint8)

    trained = Recipe(model=ModelSettings(width=0.1))
    members = [Member(net, Provenance(trained, branches, "full", 0, 1))]
    at_once = SETTINGS.model_copy(update={"tile": None})
    whole, tiled = (
        predict_volume(Predictor(members, how, amp=False), volume) for how in (at_once, SETTINGS)
    )
    np.testing.assert_array_equal(tiled.ncs_boxes, whole.ncs_boxes)
    np.testing.assert_array_equal(tiled.kept, whole.kept)
    assert tiled.masks.keys() == whole.masks.keys()
