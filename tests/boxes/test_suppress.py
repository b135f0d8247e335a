"""The grids and the lanes against two plain loops, index by index."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plain_nms import early_boxes, kept_list, suppress_forward, trained_boxes
from nodulenet.boxes import iou_matrix, nms
from nodulenet.boxes.iou import box_corners
from nodulenet.boxes.nms import descending_order, score_bits
from nodulenet.boxes.suppress import _keep_by_grids, _rounds_relatively

F32 = np.float32
THRESHOLDS = [1e-9, 1e-3, 0.1, float(F32(1 / 3)), 0.5, 0.7, 0.97, 1.0, 1.5]


def by_grids(boxes, scores, threshold):
    """The grids from the first box on, which `nms` leaves to the lanes while few are kept."""
    order = descending_order(score_bits(scores))
    ranked, kept = box_corners(boxes[order]), np.empty(len(boxes), np.int32)
    assert _rounds_relatively(ranked)
    count = _keep_by_grids(ranked, F32(threshold), kept, 0, 0)
    return order[kept[:count]]


def agree(boxes, scores, threshold):
    expected = kept_list(boxes, scores, threshold)
    np.testing.assert_array_equal(suppress_forward(boxes, scores, threshold), expected)
    np.testing.assert_array_equal(nms(boxes, scores, threshold), expected)
    if threshold > 0 and _rounds_relatively(box_corners(boxes)):
        np.testing.assert_array_equal(by_grids(boxes, scores, threshold), expected)
    return expected


@st.composite
def crowds(draw):
    """Boxes of chosen scale, spread and elongation; on a lattice, thresholds are hit exactly."""
    count, seed = draw(st.integers(1, 150)), draw(st.integers(0, 2**32 - 1))
    spread, scale = draw(st.sampled_from([0, 1, 4, 40, 1e6])), draw(st.sampled_from([1e-4, 1, 37]))
    octaves = draw(st.sampled_from([0, 0.3, 2, 8]))
    lattice, elongated = draw(st.booleans()), draw(st.booleans())
    rng = np.random.default_rng(seed)
    side = 4 * np.exp2(rng.uniform(-octaves, octaves, (count, 3 if elongated else 1))) * np.ones(3)
    centre = rng.normal(0, 1, (count, 3)) * spread * 4
    boxes = np.concatenate([centre, side], 1)
    boxes = (np.round(boxes) if lattice else boxes) * scale
    return boxes.astype(F32), (rng.integers(0, 20, count) / 20).astype(F32)


@given(crowds(), st.sampled_from(THRESHOLDS))
def test_every_way_keeps_what_the_plain_loops_keep(crowd, threshold):
    agree(*crowd, threshold)


@given(crowds(), st.data())
def test_pairs_at_exactly_the_threshold(crowd, data):
    boxes, scores = crowd
    matrix = iou_matrix(boxes, boxes)
    values = np.unique(matrix[matrix > 0])
    if len(values):
        exact = values[data.draw(st.integers(0, len(values) - 1))]
        for threshold in (exact, np.nextafter(exact, F32(2)), np.nextafter(exact, F32(0))):
            agree(boxes, scores, threshold)


@pytest.mark.parametrize("make", [early_boxes, trained_boxes])
@pytest.mark.parametrize("count", [513, 6000])
def test_proposals(make, count):
    boxes, scores = make(count, seed=count)
    assert len(agree(boxes, np.round(scores, 2), 0.1)) > 1
    assert len(agree(boxes, scores.astype(np.float64), 0.6)) > 1


def test_a_torus_that_wraps():
    boxes, scores = early_boxes(3000)
    boxes[:, :3] *= np.array([1, 40, 4000], F32)  # far more cells than there are rows and bits
    boxes[::7, :3] -= 5e6
    assert len(agree(boxes, scores, 0.1)) > 2500


def test_boxes_all_alike_and_all_apart():
    alike, scores = np.tile(np.array([[7, 7, 7, 5, 4, 3]], F32), (700, 1)), np.arange(700) % 9
    assert agree(alike, scores.astype(F32), 1.0).tolist() == [8]
    assert len(agree(alike, scores.astype(F32), 1.5)) == 700
    apart = alike + np.arange(700, dtype=F32)[:, None] * np.array([50, 0, 0, 0, 0, 0], F32)
    assert len(agree(apart, scores.astype(F32), 0.1)) == 700


@pytest.mark.parametrize("threshold", [0.0, -1.0, 0.1, 1.0, np.inf])
@pytest.mark.parametrize("side", [0.0, 1e-12, 1e-38, 1e13, 3e38])
def test_sizes_at_the_ends_of_float32(side, threshold):
    boxes, scores = early_boxes(600, seed=3)
    boxes[::5, 3:] = side
    boxes[::11, 4] = 0
    agree(boxes, scores, threshold)


def test_sizes_that_span_all_classes():
    rng = np.random.default_rng(0)
    side = np.exp2(rng.uniform(-32, 40, (3000, 1))) * np.ones(3)
    boxes = np.concatenate([rng.normal(0, 1, (3000, 3)) * side, side], 1).astype(F32)
    scores = rng.uniform(size=3000).astype(F32)
    for threshold in (1e-8, 0.1, 0.8):
        agree(boxes, scores, threshold)


@given(st.lists(st.floats(allow_nan=False, width=32), max_size=80), st.sampled_from("fd"))
def test_scores_are_ranked_as_by_a_stable_sort(values, kind):
    scores = np.array(values, kind)
    with np.errstate(invalid="ignore"):
        expected = np.argsort(-scores, kind="stable")
    np.testing.assert_array_equal(descending_order(score_bits(scores)), expected)
