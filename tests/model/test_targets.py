"""Truth boxes, anchor labels and sampled boxes, worked by hand."""

import numpy as np
import pytest
import torch
from plain_draws import plain_draw, plain_key
from torch import Tensor

from nodulenet.boxes import iou_matrix
from nodulenet.boxes.anchors import anchor_grid
from nodulenet.boxes.matching import IGNORED, NEGATIVE
from nodulenet.model.targets import (
    NEGATIVE_ANCHORS,
    NEGATIVE_BOXES,
    POSITIVE_ANCHOR,
    POSITIVE_BOXES,
    REPEATED_BOXES,
    AnchorTargets,
    TruthBoxes,
    anchor_targets,
    padded_truth,
    sample_boxes,
    truth_boxes,
    with_size,
)
from nodulenet.settings import DfpsSettings, NcsSettings

CPU = torch.device("cpu")
SEED = -5


def boxes(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)


def padded(truth: Tensor) -> Tensor:
    """The truth boxes of one crop as a batch."""
    boxes, _ = padded_truth([TruthBoxes(truth.numpy(), np.ones(len(truth), np.bool_))])
    return torch.from_numpy(boxes)


def targets_of(anchors: Tensor, truth: Tensor, **settings: object) -> AnchorTargets:
    """Of one crop."""
    found = anchor_targets(anchors, padded(truth), NcsSettings(**settings), torch.tensor([SEED]))
    return AnchorTargets(*(tensor[0] for tensor in found))


def sample_of(proposals: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Sampled boxes of one crop and the truth box of each."""
    valid = torch.ones(1, len(proposals), dtype=torch.bool)
    args = proposals[None], valid, padded(truth), DfpsSettings(), torch.tensor([SEED])
    found = sample_boxes(*args)
    assert found.boxes.shape == (1, 64, 6)
    return found.boxes[found.valid], found.truths[found.valid]


def test_anchors_are_cubes_centred_at_one_and_a_half() -> None:
    anchors = anchor_grid((1, 2, 2), CPU)
    assert anchors.shape == (20, 6)
    assert anchors[0].tolist() == [1.5, 1.5, 1.5, 5, 5, 5]
    assert anchors[4].tolist() == [1.5, 1.5, 1.5, 50, 50, 50]
    assert anchors[5].tolist() == [1.5, 1.5, 5.5, 5, 5, 5]
    assert anchors[10].tolist() == [1.5, 5.5, 1.5, 5, 5, 5]
    assert anchor_grid((3, 4, 5), CPU)[-1].tolist() == [9.5, 13.5, 17.5, 50, 50, 50]


def test_truth_box_has_the_margin_and_the_centre_of_its_voxels() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[3:6, 4:8, 5:6] = 2  # from 3 to 5, from 4 to 7, 5
    labels[10, 10, 10] = 7
    expected = [[4, 5.5, 5, 11, 12, 9], [10, 10, 10, 9, 9, 9]]
    assert truth_boxes(labels).boxes.tolist() == expected
    assert truth_boxes(labels, 0).boxes[0].tolist() == [4, 5.5, 5, 3, 4, 1]
    assert truth_boxes(np.zeros((4, 4, 4), np.uint8)).boxes.shape == (0, 6)


def test_the_size_of_a_label_is_known_unless_it_is_said_not_to_be() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    for label in (2, 3, 7):
        labels[2 * label, 2, 2] = label
    assert truth_boxes(labels).sized.tolist() == [True] * 3
    assert truth_boxes(labels, 8, {3, 4}).sized.tolist() == [True, False, True]
    empty = truth_boxes(np.zeros((4, 4, 4), np.uint8))
    assert empty.sized.shape == (0,)
    truth, sized = padded_truth([empty, truth_boxes(labels, 8, {3})])
    assert truth.shape == (2, 3, 6)
    assert not truth[0].any()
    assert sized.tolist() == [[False] * 3, [True, False, True]]
    assert padded_truth([empty])[1].shape == (1, 1)


def test_boxes_are_learned_of_nodules_of_known_size() -> None:
    labels = torch.tensor([[0, 1, NEGATIVE, IGNORED, 2], [1, 0, 0, 2, NEGATIVE]])
    sized = torch.tensor([[True, False, True], [False, True, False]])
    assert with_size(labels, sized).tolist() == [
        [True, False, False, False, True],
        [True, False, False, False, False],
    ]


def test_anchors_at_half_overlap_are_positive_and_below_a_tenth_negative() -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    # The IoUs are 1, 0.5, 1/3 and 0.
    anchors = boxes(
        (10, 10, 10, 10, 10, 10),
        (10, 10, 10, 10, 10, 5),
        (10, 10, 15, 10, 10, 10),
        (50, 50, 50, 10, 10, 10),
    )
    found = targets_of(anchors, truth)
    assert found.labels.tolist() == [0, 0, IGNORED, NEGATIVE]
    assert found.negatives[found.drawn].tolist() == [3]


def test_a_truth_box_without_a_good_anchor_takes_all_its_best_ones() -> None:
    truth = boxes((10, 10, 10, 10, 10, 10), (40, 40, 40, 10, 10, 10))
    anchors = boxes(
        (10, 10, 10, 10, 10, 10),
        (40, 40, 36, 10, 10, 10),  # 6/14 = 0.43 on either side: a tie
        (40, 40, 44, 10, 10, 10),
        (40, 40, 45, 10, 10, 10),  # 1/3
    )
    found = targets_of(anchors, truth)
    assert found.labels.tolist() == [0, 1, 1, IGNORED]
    assert not found.drawn.any()


def test_a_truth_box_that_no_anchor_touches_has_no_positive() -> None:
    anchors = boxes((10, 10, 10, 10, 10, 10))
    found = targets_of(anchors, boxes((90, 90, 90, 5, 5, 5)))
    assert found.labels.tolist() == [NEGATIVE]
    assert found.negatives[found.drawn].tolist() == [0]


def test_one_positive_a_crop_where_the_config_says_so() -> None:
    anchors, truth = anchor_grid((8, 8, 8), CPU), boxes((15, 15, 15, 20, 20, 20))
    every = targets_of(anchors, truth).labels
    one = targets_of(anchors, truth, positives="one_per_crop").labels
    positives = (every >= 0).nonzero()[:, 0].tolist()
    assert len(positives) > 1
    (chosen,) = (one >= 0).nonzero()[:, 0].tolist()
    assert [chosen] == plain_draw(positives, 1, SEED, POSITIVE_ANCHOR)
    assert all(one[k] == IGNORED for k in positives if k != chosen)


@pytest.mark.parametrize("truth", [boxes(), boxes((15, 15, 15, 10, 10, 10))])
def test_negatives_are_drawn_by_their_keys(truth: Tensor) -> None:
    anchors = anchor_grid((8, 8, 8), CPU)
    found = targets_of(anchors, truth, negatives=50)
    negatives = [k for k, label in enumerate(found.labels.tolist()) if label == NEGATIVE]
    assert found.drawn.all()
    assert found.negatives.tolist() == plain_draw(negatives, 50, SEED, NEGATIVE_ANCHORS)
    if len(truth):
        assert iou_matrix(anchors[negatives], truth).max() < 0.1


def test_sampled_boxes_fill_up_with_negatives_drawn_again() -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    negatives = [(50, 50, 50, 9, 9, 9), (90, 50, 50, 9, 9, 9), (70, 9, 9, 9, 9, 9)]
    proposals = boxes((10, 10, 10, 10, 10, 8), *negatives, (10, 10, 15, 10, 10, 10))
    sample, truths = sample_of(proposals, truth)
    assert len(sample) == 64
    assert sorted(sample[truths >= 0, 5].tolist()) == [8, 10]  # the proposal and the truth box
    order = plain_draw([1, 2, 3], 3, SEED, NEGATIVE_BOXES)
    drawn = [order[plain_key(SEED, REPEATED_BOXES, slot) % 3] for slot in range(2, 64)]
    assert sample[2:].tolist() == proposals[drawn].tolist()
    assert truths[2:].tolist() == [NEGATIVE] * 62


def test_enough_negatives_are_drawn_once() -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    far = boxes(*((50, 50, float(k), 3, 3, 3) for k in range(0, 400, 4)))
    sample, truths = sample_of(far, truth)
    assert truths.tolist() == [0] + [NEGATIVE] * 63
    order = plain_draw(range(100), 63, SEED, NEGATIVE_BOXES)
    assert sample[1:].tolist() == far[order].tolist()


def test_no_more_positives_than_the_setting() -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    proposals = torch.cat([truth.expand(99, -1), boxes((50, 50, 50, 9, 9, 9))])
    proposals[:99, 0] += torch.arange(99) / 100
    sample, truths = sample_of(proposals, truth)
    chosen = plain_draw([*range(99), 100], 32, SEED, POSITIVE_BOXES)
    every = torch.cat([proposals, truth])
    assert truths.tolist() == [0] * 32 + [NEGATIVE] * 32
    assert sample[:32].tolist() == every[chosen].tolist()


def test_positives_stand_alone_without_negatives() -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    sample, truths = sample_of(boxes((10, 10, 15, 10, 10, 10)), truth)  # IoU 1/3: neither
    assert sample.tolist() == truth.tolist()
    assert truths.tolist() == [0]


def test_a_crop_without_nodules_gives_negatives_only_and_none_twice() -> None:
    proposals = boxes((10, 10, 10, 10, 10, 10)).repeat(100, 1)
    assert sample_of(proposals, boxes())[1].tolist() == [NEGATIVE] * 64
    assert sample_of(proposals[:3], boxes())[1].tolist() == [NEGATIVE] * 3


def test_proposals_that_are_none_are_not_sampled() -> None:
    proposals = boxes((10, 10, 10, 10, 10, 10), (0, 0, 0, 0, 0, 0))[None].repeat(2, 1, 1)
    valid = torch.tensor([[True, False], [False, False]])
    truth = torch.zeros(2, 1, 6)
    found = sample_boxes(proposals, valid, truth, DfpsSettings(), torch.tensor([1, 2]))
    assert found.valid.sum(1).tolist() == [1, 0]
    assert found.boxes[0].tolist() == [proposals[0, 0].tolist()] * 64  # the others repeat it
