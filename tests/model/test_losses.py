"""The losses, worked by hand."""

import math

import pytest
import torch
from torch import Tensor

from nodulenet.model.losses import (
    dfps_class_loss,
    mask_losses,
    regression_loss,
    screening_loss,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def screening(positive: list[float], negative: list[float], crops: int = 1) -> float:
    """The loss of a batch whose first crop has these logits; some that are neither lie between."""
    logits = torch.full((crops, len(positive) + len(negative) + 2), 9.0)
    hits = torch.zeros_like(logits, dtype=torch.bool)
    logits[0, : len(positive)], hits[0, : len(positive)] = torch.tensor(positive), True
    numbers = torch.arange(len(negative)) + len(positive) + 2
    logits[0, numbers] = torch.tensor(negative)
    negatives = torch.zeros((crops, len(negative)), dtype=torch.int64)
    negatives[0] = numbers
    drawn = torch.zeros_like(negatives, dtype=torch.bool)
    drawn[0] = True
    return float(screening_loss(logits, hits, negatives, drawn, hard_negatives=3))


def test_screening_keeps_three_hard_negatives_for_each_positive() -> None:
    kept = (softplus(2) + softplus(0) + softplus(-1)) / 3
    expected = softplus(-1) / 2 + kept / 2
    found = screening([1.0], [-5.0, 2.0, -1.0, 0.0, -3.0], crops=4)
    assert found == pytest.approx(expected)


def test_screening_without_positives_keeps_three_negatives_for_each_crop() -> None:
    kept = sum(softplus(-k) for k in range(1, 7)) / 6
    assert screening([], [float(k) for k in range(-10, 0)], crops=2) == pytest.approx(kept / 2)


def test_screening_with_fewer_negatives_than_wanted_takes_them_all() -> None:
    assert screening([0.0], [0.0, 0.0]) == pytest.approx(math.log(2))


def test_only_chosen_anchors_have_a_gradient() -> None:
    logits = torch.zeros(1, 6, requires_grad=True)
    hits = torch.tensor([[True, False, False, False, False, False]])
    negatives, drawn = torch.tensor([[2, 3, 4]]), torch.tensor([[True, True, False]])
    screening_loss(logits, hits, negatives, drawn, 3).backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == [-0.25, 0, 0.125, 0.125, 0, 0]


def test_regression_sums_six_terms_and_averages_boxes() -> None:
    deltas = torch.tensor([[0.5, 0, 0, 0, 0, 0], [3.0, 0, 0, 0, 0, 1], [7.0, 7, 7, 7, 7, 7]])
    targets = torch.zeros(3, 6)
    targets[2] = -math.inf  # the logarithm of a truth box that is none
    deltas.requires_grad_()
    # smooth L1: 0.5 * 0.25, 3 - 0.5, 0.5 * 1
    expected = (0.125 + 2.5 + 0.5) / 2
    loss = regression_loss(deltas, targets, torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(loss, deltas)
    assert gradient[2].tolist() == [0] * 6
    assert float(regression_loss(deltas, targets, torch.zeros(3, dtype=torch.bool))) == 0


def test_suppression_counts_both_classes_alike() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0], [0.0, -9.0]])
    nodule = torch.tensor([True, False, False, False, True])

    def loss(*valid: int) -> float:
        return float(dfps_class_loss(logits, nodule, torch.tensor(valid) > 0))

    assert loss(1, 1, 1, 1, 0) == pytest.approx((math.log(2) + softplus(2)) / 2)
    assert loss(0, 1, 1, 1, 0) == pytest.approx(softplus(2))
    assert loss(0, 0, 0, 0, 0) == 0


def tversky(logits: list[float] | Tensor, target: Tensor) -> float:
    return float(mask_losses(torch.as_tensor(logits)[None], target[None]))


def test_dice_loss_of_a_half_right_mask() -> None:
    target = torch.tensor([True, True, False, False])
    half = [50.0, -50.0, 50.0, -50.0]  # p = 1, 0, 1, 0
    perfect = [50.0, 50.0, -50.0, -50.0]
    assert tversky(half, target) == pytest.approx(0.5, abs=1e-4)
    assert tversky(perfect, target) == pytest.approx(0, abs=1e-4)
    both = mask_losses(torch.tensor([half, perfect]), torch.stack([target, target]))
    assert both.tolist() == pytest.approx([0.5, 0], abs=1e-4)


def test_dice_loss_counts_both_kinds_of_error_half() -> None:
    target = torch.tensor([True, True, True, False, False, False, False])
    # p = 1, 1, 1 on the nodule and 1, 0, 0, 0 beside it; then 1, 0, 0 on it and none beside it.
    too_much = [50.0, 50.0, 50.0, 50.0, -50.0, -50.0, -50.0]
    too_little = [50.0, -50.0, -50.0, -50.0, -50.0, -50.0, -50.0]
    assert tversky(too_much, target) == pytest.approx(1 - 3 / 3.5, abs=1e-4)
    assert tversky(too_little, target) == pytest.approx(1 - 1 / 2, abs=1e-4)
    # p = 1/2 everywhere: overlap 1.5, half of 2 beside it, half of 1.5 missed.
    assert tversky(torch.zeros(7), target) == pytest.approx(1 - 1.5 / 3.25, abs=1e-4)
