"""The settings of the three branches, with the published values as defaults."""

from dataclasses import dataclass
from typing import Literal

Branch = Literal["ncs", "dfps", "sr"]

MARGIN_TOTAL = 8.0
"""Voxels that a truth box is larger than its mask, along each axis."""


@dataclass(frozen=True)
class NcsSettings:
    """Nodule candidate screening: anchor labels, hard negatives and proposals.

    IoUs are fractions; `negatives` and `proposals` are numbers per crop; `hard_negatives` is the
    number of negatives kept for each positive of the batch. box_weight: factor of the box loss
    beside the class loss (the paper's lambda); weight: factor of both in the whole loss.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.1
    positives: Literal["all", "one_per_crop"] = "all"
    negatives: int = 800
    hard_negatives: int = 3
    proposal_threshold: float = 0.5
    nms_iou: float = 0.1
    proposals: int = 300
    box_weight: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class DfpsSettings:
    """Decoupled false positive suppression: labels and numbers of the sampled boxes per crop.

    box_weight and weight: as those of `NcsSettings`.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.2
    positives: int = 32
    samples: int = 64
    regression: bool = True
    box_weight: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True)
class SrSettings:
    """Segmentation refinement: which boxes are segmented, and what their masks lose.

    snap: how corners become multiples of 4. alpha, beta: weights of voxels beside the nodule that
    are taken for it, and of its voxels that are missed, in the Tversky loss of a mask (both 1/2:
    Dice). reduction: sum or mean over the detections of a batch; weight: as in `NcsSettings`.
    """

    threshold: float = 0.5
    nms_iou: float = 0.1
    snap: Literal["outward", "truncate"] = "outward"
    alpha: float = 0.5
    beta: float = 0.5
    reduction: Literal["sum", "mean"] = "sum"
    weight: float = 1.0
