"""The losses of the three branches (design: Tang, Zhang and Xie, MICCAI 2019).

Masks over tensors of fixed shape select what enters a loss, so the host need not know the counts.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss, softplus


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask (same shape, bool) is true; 0 where it is nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def screening_loss(
    logits: Tensor, positive: Tensor, negatives: Tensor, drawn: Tensor, hard_negatives: int
) -> Tensor:
    """Balanced BCE of NCS logits: half the positives' mean, half the kept negatives' mean.

    logits, positive: (B, N); negatives: (B, k) indices of anchors, valid where `drawn` (B, k).
    Online hard example mining keeps the `hard_negatives` x P highest-scoring negatives of
    the batch, P = its positives, or the number of its crops if there are none.
    """
    count = positive.sum()
    kept = hard_negatives * torch.where(count > 0, count, len(logits))
    scores = logits.gather(1, negatives).masked_fill(~drawn, -torch.inf).flatten()
    hardest = scores.sort(descending=True).values
    used = (torch.arange(len(hardest), device=kept.device) < kept) & (hardest != -torch.inf)
    return (masked_mean(softplus(hardest), used) + masked_mean(softplus(-logits), positive)) / 2


def regression_loss(deltas: Tensor, targets: Tensor, positive: Tensor) -> Tensor:
    """Smooth L1 (beta 1) of deltas (..., 6), summed over the six terms, averaged over the
    positives (...); or 0."""
    targets = torch.where(positive[..., None], targets, 0)
    each = smooth_l1_loss(deltas, targets, reduction="none").sum(-1)
    return masked_mean(each, positive)


def dfps_class_loss(logits: Tensor, nodule: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of DFPS logits (N, 2), the mean of the means of the classes that occur.

    nodule, valid: (N,) bool. Zero without valid boxes.
    """
    each = cross_entropy(logits, nodule.long(), reduction="none")
    classes = [valid & nodule, valid & ~nodule]
    present = torch.stack([mask.any() for mask in classes]).sum()
    return torch.stack([masked_mean(each, mask) for mask in classes]).sum() / present.clamp(min=1)


def mask_losses(logits: Tensor, target: Tensor, alpha: float = 0.5, beta: float = 0.5) -> Tensor:
    """Tversky loss of every crop, (n,); logits, target (bool): (n, z, y, x).

    alpha weights false positives, beta false negatives; 1/2 and 1/2 is soft Dice.
    Salehi et al., Tversky loss function, MLMI 2017.
    """
    p, g = logits.sigmoid().flatten(1), target.flatten(1).to(logits.dtype)
    overlap = (p * g).sum(1)
    beside, missed = (p * (1 - g)).sum(1), ((1 - p) * g).sum(1)
    return 1 - overlap / (overlap + beside * alpha + missed * beta + 1e-5)
