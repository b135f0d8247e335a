"""The losses of the three branches (design: Tang, Zhang and Xie, MICCAI 2019)."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss


def screening_loss(positive: Tensor, negative: Tensor, hard_negatives: int, crops: int) -> Tensor:
    """Balanced BCE of NCS logits: half the positives' mean, half the kept negatives' mean.

    Online hard example mining keeps the `hard_negatives` x P highest-scoring negatives of the
    batch, P = its positives (P,), or the number of its crops if there are none.
    """
    kept = min(len(negative), hard_negatives * (len(positive) or crops))
    hardest = negative.topk(kept).values
    loss = binary_cross_entropy_with_logits(hardest, torch.zeros_like(hardest)) / 2
    if len(positive):
        loss = loss + binary_cross_entropy_with_logits(positive, torch.ones_like(positive)) / 2
    return loss


def regression_loss(deltas: Tensor, targets: Tensor) -> Tensor:
    """Smooth L1 (beta 1) of deltas (P, 6), summed over the six terms, averaged over P; or 0."""
    if len(deltas) == 0:
        return deltas.sum()
    return smooth_l1_loss(deltas, targets, reduction="sum") / len(deltas)


def suppression_loss(logits: Tensor, nodule: Tensor) -> Tensor:
    """Cross-entropy of DFPS logits (N, 2), the mean of the means of the classes that occur.

    nodule: (N,) bool. Zero without boxes.
    """
    if len(logits) == 0:
        return logits.sum()
    each = cross_entropy(logits, nodule.long(), reduction="none")
    return torch.stack([each[k].mean() for k in (nodule, ~nodule) if k.any()]).mean()


def mask_loss(logits: Tensor, target: Tensor, alpha: float = 0.5, beta: float = 0.5) -> Tensor:
    """Tversky loss of one crop; any shape, target bool.

    alpha weights false positives, beta false negatives; 1/2 and 1/2 is soft Dice.
    Salehi et al., Tversky loss function, MLMI 2017.
    """
    p, g = logits.sigmoid(), target.to(logits.dtype)
    overlap = (p * g).sum()
    beside, missed = (p * (1 - g)).sum(), ((1 - p) * g).sum()
    return 1 - overlap / (overlap + beside * alpha + missed * beta + 1e-5)
