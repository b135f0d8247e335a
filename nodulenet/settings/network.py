"""The sections on the network and on what its branches learn."""

from typing import Annotated, Literal

from pydantic import Field

from nodulenet.settings.base import Count, Factor, Fraction, PositiveFraction, Section, Weight


class ModelSettings(Section):
    """The network."""

    width: Factor = 1.0
    """Factor of the numbers of channels; 1 is the published network."""
    dfps_features: Literal["enc2", "dec2"] = "enc2"
    """Features that false positive reduction sees: enc2, or dec2 as screening does."""


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
    """Of these, the hardest that are kept for each positive anchor of a batch."""
    proposal_threshold: Fraction = 0.5
    """Probability above which an anchor is proposed in training."""
    nms_iou: PositiveFraction = 0.1
    """IoU with a better proposal from which a proposal is suppressed."""
    proposals: Count = 300
    """Largest number of proposals per crop."""
    box_weight: Weight = 1
    """Factor of the box loss beside the class loss (the paper's lambda)."""
    weight: Weight = 1
    """Factor of both in the whole loss."""


class DfpsSettings(Section):
    """Decoupled false positive reduction: labels and numbers of the sampled boxes."""

    positive_iou: PositiveFraction = 0.5
    """A box is a nodule from this IoU with one."""
    negative_iou: Fraction = 0.2
    """A box is no nodule below this IoU with every one; 0.1 in the released code."""
    positives: Count = 32
    """Largest number of positive boxes per crop."""
    samples: Count = 64
    """Boxes per crop."""
    regression: bool = True
    """Whether the boxes are refined."""
    box_weight: Weight = 1
    """Factor of the box loss beside the class loss."""
    weight: Weight = 1
    """Factor of both in the whole loss."""


class SrSettings(Section):
    """Segmentation refinement: which boxes are segmented, and the loss of their masks."""

    threshold: Fraction = 0.5
    """Probability above which a box is segmented in training."""
    nms_iou: PositiveFraction = 0.1
    """IoU with a better box from which a box is not segmented."""
    snap: Literal["outward", "truncate"] = "outward"
    """How box corners become multiples of 4: outward, or truncate (first to integers)."""
    alpha: Factor = 0.5
    """Weight in the Tversky loss of voxels that are wrongly called nodule."""
    beta: Factor = 0.5
    """Weight of voxels of the nodule that are missed; both 0.5: the Dice loss."""
    reduction: Literal["sum", "mean"] = "sum"
    """Over the detections of a batch."""
    weight: Weight = 1
    """Factor in the whole loss."""


class TargetSettings(Section):
    """What all branches learn."""

    margin_total: Annotated[float, Field(ge=0)] = 8
    """Voxels by which a nodule's box is larger than its mask, along each axis."""
