"""The sections on the network and the training of its branches."""

from typing import Annotated, Literal

from pydantic import Field

from nodulenet.settings.base import Count, Factor, Fraction, PositiveFraction, Section, Weight


class ModelSettings(Section):
    """The network."""

    width: Factor = 1.0
    """Factor for the numbers of channels; 1 is the published network."""
    dfps_features: Literal["enc2", "dec2"] = "enc2"
    """Features used by false positive reduction: enc2, or dec2 as in screening."""


class NcsSettings(Section):
    """Nodule candidate screening: anchor labels, hard negatives and proposals."""

    positive_iou: PositiveFraction = 0.5
    """An anchor is positive from this IoU with a nodule's box."""
    negative_iou: Fraction = 0.1
    """An anchor is negative below this IoU with every box; 0.02 in the released code."""
    positives: Literal["all", "one_per_crop"] = "all"
    """Positive anchors used: all, or one_per_crop (as in the released code)."""
    negatives: Count = 800
    """Negative anchors drawn per crop."""
    hard_negatives: Count = 3
    """Hardest negatives kept per positive anchor of a batch."""
    proposal_threshold: Fraction = 0.5
    """Probability above which an anchor is proposed in training."""
    nms_iou: PositiveFraction = 0.1
    """A proposal is suppressed from this IoU with a more probable one."""
    proposals: Count = 300
    """Maximum number of proposals per crop."""
    box_weight: Weight = 1
    """Weight of the box loss relative to the class loss (the paper's lambda)."""
    weight: Weight = 1
    """Weight of both in the total loss."""


class DfpsSettings(Section):
    """Decoupled false positive reduction: labels and numbers of sampled boxes."""

    positive_iou: PositiveFraction = 0.5
    """A box is positive from this IoU with a nodule's box."""
    negative_iou: Fraction = 0.2
    """A box is negative below this IoU with every nodule's box; 0.1 in the released code."""
    positives: Count = 32
    """Maximum number of positive boxes per crop."""
    samples: Count = 64
    """Number of boxes per crop."""
    regression: bool = True
    """Whether the boxes are refined."""
    box_weight: Weight = 1
    """Weight of the box loss relative to the class loss."""
    weight: Weight = 1
    """Weight of both in the total loss."""


class SrSettings(Section):
    """Segmentation refinement: which boxes are segmented, and the loss of their masks."""

    threshold: Fraction = 0.5
    """Probability above which a box is segmented in training."""
    nms_iou: PositiveFraction = 0.1
    """A box is not segmented from this IoU with a more probable one."""
    snap: Literal["outward", "truncate"] = "outward"
    """How box corners become multiples of 4: rounded outward, or truncated to integers first."""
    alpha: Factor = 0.5
    """Weight of false positive voxels in the Tversky loss."""
    beta: Factor = 0.5
    """Weight of false negative voxels; both 0.5: the Dice loss."""
    reduction: Literal["sum", "mean"] = "sum"
    """Reduction of the loss over the detections of a batch."""
    weight: Weight = 1
    """Weight in the total loss."""


class TargetSettings(Section):
    """The targets of all branches."""

    margin_total: Annotated[float, Field(ge=0)] = 8
    """Voxels by which a nodule's box is larger than its mask, along each axis."""
