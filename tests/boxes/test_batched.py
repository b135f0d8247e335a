"""What is computed for all crops of a batch at once, against every crop and pair by itself."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d

from nodulenet.boxes import batched_nms, iou_matrix, match, nms
from nodulenet.boxes.matching import IGNORED, NEGATIVE
from nodulenet.boxes.roi import roi_gradient, roi_maxima


def crowd(crops: int, count: int, seed: int) -> Tensor:
    """Boxes (crops, count, 6) on a coarse lattice, so that overlaps tie and hit thresholds."""
    rng = np.random.default_rng(seed)
    centres, sides = rng.integers(0, 5, (crops, count, 3)), rng.integers(2, 7, (crops, count, 3))
    return torch.from_numpy(np.concatenate([centres, sides], -1).astype(np.float32))


def plain_labels(
    boxes: Tensor, truth: Tensor, positive: float, negative: float, best: bool
) -> list[int]:
    """The rule as written down, on the matrix of all pairs."""
    iou = iou_matrix(boxes, truth).numpy()
    least = np.full(len(truth), np.float32(positive))
    if best:
        least = np.minimum(least, iou.max(0))
    labels = []
    for row in iou:
        hits = [t for t in range(len(truth)) if row[t] > 0 and row[t] >= least[t]]
        if hits:
            labels.append(max(hits, key=lambda t: (row[t], -t)))
        else:
            labels.append(NEGATIVE if row.max() < np.float32(negative) else IGNORED)
    return labels


@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(0.5, 0.1), (0.5, 0.02), (1 / 3, 1 / 3), (0.9, 0.2)]),
)
def test_matching_is_the_rule_on_all_pairs(
    seed: int, crops: int, count: int, truths: int, best: bool, shared: bool, ious: tuple
) -> None:
    boxes, truth = crowd(1 if shared else crops, count, seed), crowd(crops, truths, seed + 1)
    found = match(boxes, truth, *ious, best=best)
    for crop in range(crops):
        own = boxes[0 if shared else crop]
        assert found[crop].tolist() == plain_labels(own, truth[crop], *ious, best)


def test_padding_of_truth_boxes_matches_nothing() -> None:
    boxes, truth = crowd(1, 300, 1), crowd(1, 2, 2)
    padded = torch.cat([truth, torch.zeros(1, 3, 6)], 1)
    for best in (True, False):
        expected = match(boxes, truth, 0.5, 0.1, best)
        assert torch.equal(match(boxes, padded, 0.5, 0.1, best), expected)
    assert (match(boxes, padded[:, 2:], 0.5, 0.1, best=True) == NEGATIVE).all()


@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.integers(1, 60),
    st.sampled_from([1, 5, 100]),
    st.sampled_from([0.0, 0.1, 1 / 3]),
)
def test_one_call_of_nms_is_one_call_per_crop(
    seed: int, crops: int, count: int, most: int, threshold: float
) -> None:
    boxes = crowd(crops, count, seed)
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy((rng.integers(0, 8, (crops, count)) / 8).astype(np.float32))
    found = batched_nms(boxes, scores, threshold, 0.25, most)
    assert found.shape == (crops, most)
    for crop in range(crops):
        likely = (scores[crop] > 0.25).nonzero()[:, 0]
        kept = likely[nms(boxes[crop][likely], scores[crop][likely], threshold)]
        expected = kept[:most].tolist()
        assert found[crop].tolist() == expected + [-1] * (most - len(expected))


@pytest.mark.parametrize("side", [1, 3, 7, 8, 13])
def test_maxima_are_those_of_adaptive_pooling(side: int) -> None:
    maps = torch.randn(2, 14, 14, 14, 4, generator=torch.manual_seed(side)).round(decimals=1)
    low = torch.tensor([[0, 1, 0], [1, 0, 1], [14 - side] * 3])
    high = low + side
    items = torch.tensor([0, 1, 1])
    maxima, voxels = roi_maxima(maps, items, low, high)
    assert maxima.shape == voxels.shape == (3, 4, 343)
    weight = torch.randn(maxima.shape, generator=torch.manual_seed(1))
    rows = maps.flatten(0, 3)
    assert torch.equal(maxima.mT, rows.gather(0, voxels.mT.flatten(0, 1).long()).view(3, 343, 4))
    leaf = maps.clone().requires_grad_()
    total = torch.zeros(())
    for k in range(3):
        span = tuple(slice(a, b) for a, b in zip(low[k], high[k], strict=True))
        expected = adaptive_max_pool3d(leaf[(items[k], *span)].permute(3, 0, 1, 2), 7).flatten(1)
        assert torch.equal(maxima[k], expected)
        total = total + (expected * weight[k]).sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    sums = roi_gradient(weight, voxels, len(rows))
    torch.testing.assert_close(sums, gradient.flatten(0, 3))
