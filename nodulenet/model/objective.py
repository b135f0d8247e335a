"""The training objective: from a batch, through the branches of a stage, to the loss terms.

All tensors have shapes known to the host, with masks for absent items. So a step waits for the
device only to learn which crops to segment.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes import batched_nms, decode
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.model.backbone import Features
from nodulenet.model.corners import sr_corners
from nodulenet.model.losses import dfps_class_loss, mask_losses, regression_loss, screening_loss
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.roi_pool import CropGroup, cut
from nodulenet.model.targets import (
    AnchorTargets,
    BoxSample,
    anchor_targets,
    boxes_at,
    coded_truth,
    sample_boxes,
    with_size,
)
from nodulenet.settings import Branch, DfpsSettings, NcsSettings, Recipe, SrSettings

TERMS = ("ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr")
"""The loss terms of all branches."""


class Diverged(ArithmeticError):
    """The network's output or its loss is no longer a number."""


@dataclass(frozen=True)
class Objective:
    """What a stage optimises: its branches and their settings."""

    branches: Sequence[Branch]
    settings: Recipe = field(default_factory=Recipe)

    @property
    def terms(self) -> list[str]:
        """The loss terms of the branches."""
        dfps, sr = "dfps" in self.branches, "sr" in self.branches
        wanted = (True, True, dfps, dfps and self.settings.dfps.regression, sr)
        return [name for name, used in zip(TERMS, wanted, strict=True) if used]

    @property
    def summed(self) -> tuple[str, ...]:
        """Terms that are sums over a batch, so that its parts are added; the others are means."""
        return ("sr",) if self.settings.sr.reduction == "sum" else ()


@dataclass(frozen=True, eq=False)
class Crops:
    """Training crops and what their targets are made of.

    images: (B, 1, z, y, x) uint8; nodules: (B, 1, z, y, x) bool, the voxels of all nodules; truth:
    (B, T, 6) boxes, padded with zeros; sized: (B, T) bool, whether the size of each is known;
    seeds: (B,) int64, from which the targets of each crop are drawn: all on the network's device.
    masks: the nodules, (B, z, y, x), in main memory.
    """

    images: Tensor
    nodules: Tensor
    masks: NDArray[np.bool_]
    truth: Tensor
    sized: Tensor
    seeds: Tensor

    def use_on(self, stream: torch.cuda.Stream) -> None:
        """Tell the allocator that `stream` uses these tensors too, so that their memory is not
        reused before it has finished."""
        for tensor in (self.images, self.nodules, self.truth, self.sized, self.seeds):
            tensor.record_stream(stream)


def loss_terms(net: NoduleNet, crops: Crops, objective: Objective) -> dict[str, Tensor]:
    """Loss terms of a batch, each with its weight; their sum is the loss."""
    settings, shape = objective.settings, tuple(crops.images.shape[2:])
    features, logits, deltas = net(normalise(crops.images))
    anchors = anchor_grid(tuple(n // STRIDE for n in shape), logits.device)
    targets = anchor_targets(anchors, crops.truth, settings.ncs, crops.seeds)
    terms = ncs_terms(logits, deltas, targets, crops, settings.ncs)
    if "dfps" not in objective.branches:
        return terms
    boxes = decode(deltas.detach(), anchors, shape)
    proposals, valid, finite = propose(logits.detach().sigmoid(), boxes, settings.ncs)
    # Reading `finite` would make the host wait; a NaN makes the ledger of losses raise `Diverged`.
    terms["ncs_box"] = torch.where(finite, terms["ncs_box"], torch.nan)
    sample = sample_boxes(proposals, valid, crops.truth, settings.dfps, crops.seeds)
    flat = sample.boxes.flatten(0, 1)
    items = torch.arange(len(proposals), device=flat.device)[:, None].expand_as(sample.valid)
    scores, box_deltas = net.score(features, items.flatten(), flat)
    terms |= dfps_terms(scores, box_deltas, sample, crops, settings.dfps)
    if "sr" in objective.branches:
        refined = decode(box_deltas.detach(), flat, shape) if settings.dfps.regression else flat
        probability = scores.detach().softmax(1)[:, 1].view_as(sample.valid)
        probability = probability.masked_fill(~sample.valid, 0)
        detections = refined.view_as(sample.boxes), probability
        terms["sr"] = sr_term(net, features, detections, crops, settings.sr)
    return terms


def ncs_terms(
    logits: Tensor, deltas: Tensor, targets: AnchorTargets, crops: Crops, settings: NcsSettings
) -> dict[str, Tensor]:
    """Class and box loss of candidate screening; a nodule of unknown size has no box loss."""
    positive = targets.labels >= 0
    chosen = targets.negatives, targets.drawn
    classed = screening_loss(logits, positive, *chosen, settings.hard_negatives)
    boxed = regression_loss(deltas, targets.coded, with_size(targets.labels, crops.sized))
    return {
        "ncs_class": classed * settings.weight,
        "ncs_box": boxed * settings.box_weight * settings.weight,
    }


def propose(
    probability: Tensor, boxes: Tensor, settings: NcsSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """The proposals of every crop: above the threshold, after NMS, the best ones.

    probability: (B, N); boxes: (B, N, 6). Returns boxes (B, P, 6), a mask of the real ones (B, P)
    and whether all boxes above the threshold are finite, ().
    """
    broken = ~boxes.isfinite().all(-1)
    threshold = settings.proposal_threshold
    finite = ~(broken & (probability > threshold)).any()
    boxes = boxes.masked_fill(broken[..., None], 0)
    kept = batched_nms(boxes, probability, settings.nms_iou, threshold, settings.proposals)
    return boxes_at(boxes, kept), kept >= 0, finite


def dfps_terms(
    logits: Tensor, deltas: Tensor, sample: BoxSample, crops: Crops, settings: DfpsSettings
) -> dict[str, Tensor]:
    """Class and box loss of false positive reduction over the batch, as in `ncs_terms`."""
    positive = sample.valid & (sample.truths >= 0)
    classed = dfps_class_loss(logits, positive.flatten(), sample.valid.flatten())
    terms = {"dfps_class": classed * settings.weight}
    if settings.regression:
        coded = coded_truth(crops.truth, sample.truths, sample.boxes)
        sized = sample.valid & with_size(sample.truths, crops.sized)
        boxed = regression_loss(deltas.view_as(coded), coded, sized)
        terms["dfps_box"] = boxed * settings.box_weight * settings.weight
    return terms


def sr_term(
    net: NoduleNet,
    features: Features,
    detections: tuple[Tensor, Tensor],
    crops: Crops,
    settings: SrSettings,
) -> Tensor:
    """Mask losses of the detections, summed or averaged.

    Detections whose crop contains no nodule voxel are skipped.

    detections: boxes (B, S, 6) and probabilities (B, S).
    """
    total = features.dec2.new_zeros((), dtype=torch.float32)
    groups = places_to_segment(detections, crops.masks, settings)
    if not groups:
        return total
    targets = cut(crops.nodules, groups, 1)
    for logits, target in zip(net.sr(features, groups), targets, strict=True):
        total = total + mask_losses(logits, target[:, 0], settings.alpha, settings.beta).sum()
    if settings.reduction == "mean":
        total = total / sum(len(group.places) for group in groups)
    return total * settings.weight


def places_to_segment(
    detections: tuple[Tensor, Tensor], masks: NDArray[np.bool_], settings: SrSettings
) -> list[CropGroup]:
    """The crops to segment, in groups of one size.

    This is where the host waits for the device. Raises `Diverged` for a box that is not finite.
    """
    boxes, probability = detections
    most = probability.shape[1]
    broken = ~boxes.isfinite().all(-1, keepdim=True)
    boxes = boxes.masked_fill(broken, 0)
    kept = batched_nms(boxes, probability, settings.nms_iou, settings.threshold, most)
    low, high = sr_corners(boxes_at(boxes, kept), masks.shape[1:], settings.snap)
    usable = ~broken[..., 0].gather(1, kept.clamp(min=0))
    found = torch.cat([torch.stack([kept, usable], -1), low, high], -1).cpu().numpy()
    groups = defaultdict(list)
    for item, row in zip(*np.nonzero(found[..., 0] >= 0), strict=True):
        _, usable, *ends = found[item, row].tolist()
        if not usable:
            raise Diverged("the network's boxes have no finite size")
        crop = tuple(map(slice, ends[:3], ends[3:]))
        if masks[item][crop].any():
            z, y, x = (s.stop - s.start for s in crop)
            groups[z, y, x].append((int(item), *ends[:3]))
    return [CropGroup(size, np.array(places)) for size, places in groups.items()]
