"""Overlap, suppression and coding against naive references and hand-worked answers."""

import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nodulenet.boxes import decode, encode, iou_matrix, nms
from nodulenet.boxes import iou as iou_module
from nodulenet.boxes.dispatch import many_threads

F32 = np.float32


def naive_iou(a, b):
    """One pair, written out with NumPy scalars so that each operation rounds to float32."""
    overlap = volume_a = volume_b = F32(1)
    for axis in range(3):
        low_a, high_a = a[axis] - a[axis + 3] * F32(0.5), a[axis] + a[axis + 3] * F32(0.5)
        low_b, high_b = b[axis] - b[axis + 3] * F32(0.5), b[axis] + b[axis + 3] * F32(0.5)
        overlap *= max(F32(0), min(high_a, high_b) - max(low_a, low_b))
        volume_a *= high_a - low_a
        volume_b *= high_b - low_b
    return overlap / (volume_a + volume_b - overlap) if overlap > 0 else F32(0)


def naive_nms(boxes, scores, threshold):
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if not naive_iou(boxes[best], boxes[i]) >= F32(threshold)]
    return kept


@st.composite
def box_arrays(draw, most=12):
    count = draw(st.integers(0, most))
    step = draw(st.sampled_from([1.0, 0.37]))
    centre = draw(hnp.arrays(np.int64, (count, 3), elements=st.integers(0, 12)))
    side = draw(hnp.arrays(np.int64, (count, 3), elements=st.integers(1, 9)))
    return (np.concatenate([centre, side], axis=1) * step).astype(F32)


def random_boxes(count, seed=0, extent=100.0):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, extent, (count, 3))
    return np.concatenate([centre, rng.uniform(3, 30, (count, 3))], axis=1).astype(F32)


@given(box_arrays(), box_arrays())
def test_iou_matrix_equals_the_naive_one(a, b):
    result = iou_matrix(a, b)
    assert result.dtype == F32
    assert result.shape == (len(a), len(b))
    expected = [[naive_iou(x, y) for y in b] for x in a]
    np.testing.assert_array_equal(result, np.array(expected, F32).reshape(len(a), len(b)))


@given(box_arrays())
def test_iou_is_symmetric_and_one_with_itself(boxes):
    matrix = iou_matrix(boxes, boxes)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), np.ones(len(boxes), F32))


def test_iou_by_hand():
    a = np.array([[0, 0, 0, 2, 2, 2]], F32)
    b = np.array([[1, 0, 0, 2, 2, 2], [2, 0, 0, 2, 2, 2], [0, 0, 0, 1, 1, 1]], F32)
    np.testing.assert_array_equal(iou_matrix(a, b), np.array([[1 / 3, 0, 1 / 8]], F32))


def test_iou_of_boxes_without_volume_is_zero():
    flat = np.array([[0, 0, 0, 0, 4, 4]], F32)
    assert iou_matrix(flat, flat)[0, 0] == 0


def test_parallel_iou_equals_the_serial_one(monkeypatch):
    a, b = random_boxes(700, 1), random_boxes(400, 2)
    parallel = iou_matrix(a, b)
    monkeypatch.setattr(iou_module, "many_threads", lambda: False)
    np.testing.assert_array_equal(parallel, iou_matrix(a, b))


@given(box_arrays(), st.data(), st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 1.0, 2.0]))
def test_nms_equals_the_naive_one_with_ties(boxes, data, threshold):
    elements = st.sampled_from([0.1, 0.5, 0.9])
    scores = data.draw(hnp.arrays(F32, len(boxes), elements=elements.map(lambda v: float(F32(v)))))
    kept = nms(boxes, scores, threshold)
    assert kept.dtype == np.int64
    assert kept.tolist() == naive_nms(boxes, scores, threshold)


@pytest.mark.parametrize(
    ("threshold", "kept"), [(1 / 3, [1]), (np.nextafter(F32(1 / 3), F32(1)), [1, 0])]
)
def test_a_box_falls_at_exactly_the_threshold(threshold, kept):
    boxes = np.array([[0, 0, 0, 2, 2, 2], [1, 0, 0, 2, 2, 2]], F32)
    assert nms(boxes, np.array([0.2, 0.7]), threshold).tolist() == kept


def test_the_threshold_is_compared_in_float32():
    # 1/10 in float32 is above 0.1 in float64; the overlap is exactly one tenth of the union.
    boxes = np.array([[0, 0, 0, 10, 10, 10], [0, 0, 0, 10, 10, 1]], F32)
    assert iou_matrix(boxes[:1], boxes[1:])[0, 0] == F32(0.1)
    assert nms(boxes, np.array([1.0, 0.5]), 0.1).tolist() == [0]


def test_equal_scores_keep_the_order_of_their_indices():
    apart = np.array([[20.0 * i, 0, 0, 4, 4, 4] for i in range(6)], F32)
    assert nms(apart, np.array([0.5, 0.7, 0.5, 0.7, 0.5, 0.7]), 0.1).tolist() == [1, 3, 5, 0, 2, 4]


def test_scores_that_only_differ_in_float64_are_not_equal():
    boxes = np.tile(np.array([[0, 0, 0, 4, 4, 4]], F32), (2, 1))
    assert nms(boxes, np.array([0.5, 0.5 + 1e-12]), 0.1).tolist() == [1]


def test_a_fallen_box_fells_none():
    boxes = np.array([[0, 0, 0, 4, 4, 4], [2, 0, 0, 4, 4, 4], [4, 0, 0, 4, 4, 4]], F32)
    assert nms(boxes, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def _worker(queue):
    boxes = random_boxes(700)
    queue.put((many_threads(), iou_matrix(boxes, boxes).sum(dtype=np.float64)))


def test_forked_workers_run_after_threads_were_used():
    boxes = random_boxes(700)  # enough pairs for several threads
    expected = iou_matrix(boxes, boxes).sum(dtype=np.float64)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_worker, args=(queue,))
    process.start()
    threaded, found = queue.get(timeout=60)
    process.join()
    assert not threaded
    assert found == expected


def test_tensors_in_tensors_out():
    boxes, scores = random_boxes(50), np.linspace(0, 1, 50, dtype=F32)
    tensor = torch.from_numpy(boxes).requires_grad_()
    kept = nms(tensor, torch.from_numpy(scores), 0.1)
    assert kept.dtype == torch.int64
    assert kept.tolist() == nms(boxes, scores, 0.1).tolist()
    matrix = iou_matrix(tensor, tensor)
    assert matrix.dtype == torch.float32
    np.testing.assert_array_equal(matrix.numpy(), iou_matrix(boxes, boxes))
    half = torch.from_numpy(scores).bfloat16()
    assert nms(tensor, half, 0.1).tolist() == nms(boxes, half.float().numpy(), 0.1).tolist()


def test_empty_input():
    none = np.zeros((0, 6), F32)
    assert iou_matrix(none, random_boxes(3)).shape == (0, 3)
    assert iou_matrix(random_boxes(3), none).shape == (3, 0)
    assert nms(none, np.zeros(0), 0.1).shape == (0,)


NAN_BOX = np.array([[np.nan, 0, 0, 1, 1, 1]], F32)
BOX = np.array([[0, 0, 0, 1, 1, 1]], F32)


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: iou_matrix(NAN_BOX, BOX), "a: a value is not finite"),
        (lambda: iou_matrix(BOX, BOX[:, :5]), "b: expected shape"),
        (lambda: iou_matrix(BOX[0], BOX), "a: expected shape"),
        (lambda: iou_matrix(-BOX, BOX), "a: a side is negative"),
        (lambda: nms(NAN_BOX, [1.0], 0.1), "boxes: a value is not finite"),
        (lambda: nms(BOX, [np.nan], 0.1), "scores: a value is NaN"),
        (lambda: nms(BOX, [1.0, 2.0], 0.1), "scores: expected shape"),
        (lambda: nms(BOX, [1.0], np.nan), "iou_threshold is NaN"),
    ],
)
def test_bad_input_is_named(call, fault):
    with pytest.raises(ValueError, match=fault):
        call()


def test_coding_by_hand():
    anchor = torch.tensor([[10.0, 20, 30, 5, 10, 20]])
    box = torch.tensor([[15.0, 15, 30, 10, 10, 10]])
    expected = [[1, -0.5, 0, np.log(2), 0, -np.log(2)]]
    np.testing.assert_allclose(encode(box, anchor), expected, rtol=1e-6)


@given(box_arrays())
def test_decode_inverts_encode(boxes):
    anchors = torch.from_numpy(random_boxes(len(boxes), 5, extent=20))
    deltas = encode(torch.from_numpy(boxes), anchors)
    result = decode(deltas, anchors, shape=(10**6,) * 3)
    expected = boxes.copy()
    expected[:, :3] = expected[:, :3].clip(0)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)


def test_decode_clips_centres_to_the_volume():
    anchors = torch.tensor([[5.0, 5, 5, 10, 10, 10]] * 2)
    deltas = torch.tensor([[-1, 0, 1, 0, 0, 0], [1, 0.1, -0.5, 0, 0, 0]])
    for own in (deltas, deltas[None].expand(3, -1, -1)):  # one set of anchors for several crops
        clipped = decode(own, anchors, shape=(8, 16, 12)).reshape(-1, 2, 6)[-1]
        np.testing.assert_allclose(clipped[:, :3], [[0, 5, 11], [7, 6, 0]])
        np.testing.assert_array_equal(clipped[:, 3:], anchors[:, 3:])
