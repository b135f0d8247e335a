"""The settings of the three branches, with the published values as defaults."""

from dataclasses import dataclass
from typing import Literal

Branch = Literal["ncs", "dfps", "sr"]

MARGIN_TOTAL = 8.0
"""Voxels that a truth box is larger than its mask, along each axis."""


@dataclass(frozen=True)
class NcsSettings:
    """Nodule candidate screening: anchor labels, hard negatives and proposals.

    IoUs are fractions; `negatives` and `proposals` are numbers a crop; `hard_negatives` is the
    number of negatives kept for each positive of the batch.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.1
    positives: Literal["all", "one_per_crop"] = "all"
    negatives: int = 800
    hard_negatives: int = 3
    proposal_threshold: float = 0.5
    nms_iou: float = 0.1
    proposals: int = 300


@dataclass(frozen=True)
class DfpsSettings:
    """Decoupled false positive suppression: labels and numbers of the sampled boxes a crop."""

    positive_iou: float = 0.5
    negative_iou: float = 0.2
    positives: int = 32
    samples: int = 64
    regression: bool = True


@dataclass(frozen=True)
class SrSettings:
    """Segmentation refinement: which boxes are segmented, and how their corners are snapped."""

    threshold: float = 0.5
    nms_iou: float = 0.1
    snap: Literal["outward", "truncate"] = "outward"
