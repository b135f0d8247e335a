"""Truth boxes, anchor labels and sampled boxes, worked by hand."""

import numpy as np
import pytest

from nodulenet.boxes import iou_matrix
from nodulenet.boxes.anchors import anchor_grid
from nodulenet.model.targets import anchor_targets, sample_boxes, truth_boxes
from nodulenet.settings import DfpsSettings, NcsSettings


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def test_anchors_are_cubes_centred_at_one_and_a_half() -> None:
    anchors = anchor_grid((1, 2, 2))
    assert anchors.shape == (20, 6)
    assert anchors[0].tolist() == [1.5, 1.5, 1.5, 5, 5, 5]
    assert anchors[4].tolist() == [1.5, 1.5, 1.5, 50, 50, 50]
    assert anchors[5].tolist() == [1.5, 1.5, 5.5, 5, 5, 5]
    assert anchors[10].tolist() == [1.5, 5.5, 1.5, 5, 5, 5]


def test_truth_box_has_the_margin_and_the_centre_of_its_voxels() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[3:6, 4:8, 5:6] = 2  # from 3 to 5, from 4 to 7, 5
    labels[10, 10, 10] = 7
    expected = [[4, 5.5, 5, 11, 12, 9], [10, 10, 10, 9, 9, 9]]
    assert truth_boxes(labels).tolist() == expected
    assert truth_boxes(labels, 0)[0].tolist() == [4, 5.5, 5, 3, 4, 1]
    assert truth_boxes(np.zeros((4, 4, 4), np.uint8)).shape == (0, 6)


def test_anchors_at_half_overlap_are_positive_and_below_a_tenth_negative(
    rng: np.random.Generator,
) -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    # The IoUs are 1, 0.5, 1/3 and 0.
    anchors = boxes(
        (10, 10, 10, 10, 10, 10),
        (10, 10, 10, 10, 10, 5),
        (10, 10, 15, 10, 10, 10),
        (50, 50, 50, 10, 10, 10),
    )
    found = anchor_targets(anchors, truth, NcsSettings(), rng)
    assert found.positives.tolist() == [0, 1]
    assert found.truths.tolist() == [0, 0]
    assert found.negatives.tolist() == [3]


def test_a_truth_box_without_a_good_anchor_takes_all_its_best_ones(
    rng: np.random.Generator,
) -> None:
    truth = boxes((10, 10, 10, 10, 10, 10), (40, 40, 40, 10, 10, 10))
    anchors = boxes(
        (10, 10, 10, 10, 10, 10),
        (40, 40, 36, 10, 10, 10),  # 6/14 = 0.43 on either side: a tie
        (40, 40, 44, 10, 10, 10),
        (40, 40, 45, 10, 10, 10),  # 1/3
    )
    found = anchor_targets(anchors, truth, NcsSettings(), rng)
    assert found.positives.tolist() == [0, 1, 2]
    assert found.truths.tolist() == [0, 1, 1]
    assert found.negatives.tolist() == []


def test_a_truth_box_that_no_anchor_touches_has_no_positive(rng: np.random.Generator) -> None:
    anchors = boxes((10, 10, 10, 10, 10, 10))
    found = anchor_targets(anchors, boxes((90, 90, 90, 5, 5, 5)), NcsSettings(), rng)
    assert found.positives.tolist() == []
    assert found.negatives.tolist() == [0]


def test_one_positive_a_crop_where_the_config_says_so(rng: np.random.Generator) -> None:
    anchors, truth = anchor_grid((8, 8, 8)), boxes((15, 15, 15, 20, 20, 20))
    every = anchor_targets(anchors, truth, NcsSettings(), rng)
    one = anchor_targets(anchors, truth, NcsSettings(positives="one_per_crop"), rng)
    assert len(every.positives) > 1
    assert len(one.positives) == 1
    assert one.positives[0] in every.positives


def test_at_most_the_given_number_of_negatives_is_drawn(rng: np.random.Generator) -> None:
    anchors = anchor_grid((8, 8, 8))
    for truth in (boxes(), boxes((15, 15, 15, 10, 10, 10))):
        found = anchor_targets(anchors, truth, NcsSettings(negatives=50), rng)
        assert len(set(found.negatives.tolist())) == 50
        if len(truth):
            assert iou_matrix(anchors[found.negatives], truth).max() < 0.1


def test_sampled_boxes_fill_up_with_negatives_drawn_again(rng: np.random.Generator) -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    proposals = boxes((10, 10, 10, 10, 10, 8), (50, 50, 50, 9, 9, 9), (10, 10, 15, 10, 10, 10))
    sample = sample_boxes(proposals, truth, DfpsSettings(), rng)
    assert len(sample.boxes) == 64
    positive = sample.boxes[sample.truths >= 0]
    assert sorted(positive[:, 5].tolist()) == [8, 10]  # the proposal and the truth box
    assert {tuple(b) for b in sample.boxes[sample.truths < 0]} == {(50, 50, 50, 9, 9, 9)}


def test_no_more_positives_than_the_setting(rng: np.random.Generator) -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    proposals = np.concatenate([np.repeat(truth, 99, 0), boxes((50, 50, 50, 9, 9, 9))])
    sample = sample_boxes(proposals, truth, DfpsSettings(), rng)
    assert np.count_nonzero(sample.truths >= 0) == 32
    assert np.count_nonzero(sample.truths < 0) == 32


def test_positives_stand_alone_without_negatives(rng: np.random.Generator) -> None:
    truth = boxes((10, 10, 10, 10, 10, 10))
    sample = sample_boxes(boxes(), truth, DfpsSettings(), rng)
    assert sample.boxes.tolist() == truth.tolist()
    assert sample.truths.tolist() == [0]


def test_a_crop_without_nodules_gives_negatives_only(rng: np.random.Generator) -> None:
    proposals = np.repeat(boxes((10, 10, 10, 10, 10, 10)), 100, 0)
    assert sample_boxes(proposals, boxes(), DfpsSettings(), rng).truths.tolist() == [-1] * 64
    assert len(sample_boxes(boxes(), boxes(), DfpsSettings(), rng).boxes) == 0
