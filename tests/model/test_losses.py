"""The losses, worked by hand."""

import math

import pytest
import torch

from nodulenet.model.losses import (
    dice_loss,
    regression_loss,
    screening_loss,
    suppression_loss,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_screening_keeps_three_hard_negatives_for_each_positive() -> None:
    positive = torch.tensor([1.0])
    negative = torch.tensor([-5.0, 2.0, -1.0, 0.0, -3.0])
    kept = (softplus(2) + softplus(0) + softplus(-1)) / 3
    expected = softplus(-1) / 2 + kept / 2
    assert float(screening_loss(positive, negative, 3, crops=4)) == pytest.approx(expected)


def test_screening_without_positives_keeps_three_negatives_for_each_crop() -> None:
    negative = torch.arange(-10.0, 0.0)
    kept = sum(softplus(-k) for k in range(1, 7)) / 6
    loss = screening_loss(torch.zeros(0), negative, 3, crops=2)
    assert float(loss) == pytest.approx(kept / 2)


def test_screening_with_fewer_negatives_than_wanted_takes_them_all() -> None:
    loss = screening_loss(torch.zeros(1), torch.zeros(2), 3, crops=1)
    assert float(loss) == pytest.approx(math.log(2))


def test_regression_sums_six_terms_and_averages_boxes() -> None:
    deltas = torch.tensor([[0.5, 0, 0, 0, 0, 0], [3.0, 0, 0, 0, 0, 1]])
    # smooth L1: 0.5 * 0.25, 3 - 0.5, 0.5 * 1
    expected = (0.125 + 2.5 + 0.5) / 2
    assert float(regression_loss(deltas, torch.zeros(2, 6))) == pytest.approx(expected)
    assert float(regression_loss(torch.zeros(0, 6), torch.zeros(0, 6))) == 0


def test_suppression_counts_both_classes_alike() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    nodule = torch.tensor([True, False, False, False])
    expected = (math.log(2) + softplus(2)) / 2
    assert float(suppression_loss(logits, nodule)) == pytest.approx(expected)
    alone = suppression_loss(logits[1:], nodule[1:])
    assert float(alone) == pytest.approx(softplus(2))
    assert float(suppression_loss(logits[:0], nodule[:0])) == 0


def test_dice_loss_of_a_half_right_mask() -> None:
    target = torch.tensor([True, True, False, False])
    logits = torch.tensor([50.0, -50.0, 50.0, -50.0])  # p = 1, 0, 1, 0
    assert float(dice_loss(logits, target)) == pytest.approx(0.5, abs=1e-4)
    perfect = torch.tensor([50.0, 50.0, -50.0, -50.0])
    assert float(dice_loss(perfect, target)) == pytest.approx(0, abs=1e-4)


def test_dice_loss_counts_both_kinds_of_error_half() -> None:
    target = torch.tensor([True, True, True, False, False, False, False])
    # p = 1, 1, 1 on the nodule and 1, 0, 0, 0 beside it; then 1, 0, 0 on it and none beside it.
    too_much = torch.tensor([50.0, 50.0, 50.0, 50.0, -50.0, -50.0, -50.0])
    too_little = torch.tensor([50.0, -50.0, -50.0, -50.0, -50.0, -50.0, -50.0])
    assert float(dice_loss(too_much, target)) == pytest.approx(1 - 3 / 3.5, abs=1e-4)
    assert float(dice_loss(too_little, target)) == pytest.approx(1 - 1 / 2, abs=1e-4)
    # p = 1/2 everywhere: overlap 1.5, half of 2 beside it, half of 1.5 missed.
    assert float(dice_loss(torch.zeros(7), target)) == pytest.approx(1 - 1.5 / 3.25, abs=1e-4)
