"""The training objective: from a batch, through the branches of a stage, to the loss terms."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes import decode, encode, nms
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.model.backbone import Features
from nodulenet.model.corners import sr_corners
from nodulenet.model.losses import mask_loss, regression_loss, screening_loss, suppression_loss
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.targets import (
    AnchorTargets,
    Boxes,
    BoxSample,
    anchor_targets,
    sample_boxes,
    truth_boxes,
)
from nodulenet.settings import Branch, DfpsSettings, NcsSettings, SrSettings, TrainingSettings

TERMS = ("ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr")
"""The loss terms of all branches."""


class Diverged(ArithmeticError):
    """The network's output or its loss is no longer a number."""


@dataclass(frozen=True)
class Objective:
    """What a stage optimises: its branches and their settings."""

    branches: Sequence[Branch]
    settings: TrainingSettings = field(default_factory=TrainingSettings)

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
class Screened:
    """Network output for every anchor of one volume.

    probability: (N,); deltas, anchors: (N, 6); shape: (z, y, x) of the volume in voxels, within
    which boxes are centred.
    """

    probability: NDArray[np.float32]
    deltas: NDArray[np.float32]
    anchors: Boxes
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes (N, 6) in voxels, the batch item (N,) and the nodule probability (N,) of each."""

    items: NDArray[np.int64]
    boxes: Boxes
    probability: NDArray[np.float32]


def loss_terms(
    net: NoduleNet,
    images: Tensor,
    labels: NDArray[np.integer],
    objective: Objective,
    rngs: Sequence[np.random.Generator],
) -> dict[str, Tensor]:
    """Loss terms of a batch, each with its weight; their sum is the loss.

    images: (batch, 1, z, y, x) uint8 on the network's device; labels: (batch, z, y, x)
    instance labels on the host; rngs: for each crop the generator that draws its anchors and then
    its boxes, so that they do not depend on which other crops are in the batch.
    """
    settings, shape = objective.settings, labels.shape[1:]
    features, logits, deltas = net(normalise(images))
    truth = [truth_boxes(crop, settings.targets.margin_total) for crop in labels]
    anchors = anchor_grid(tuple(n // STRIDE for n in shape))
    pairs = zip(truth, rngs, strict=True)
    targets = [anchor_targets(anchors, boxes, settings.ncs, rng) for boxes, rng in pairs]
    coded = [
        encode(boxes[t.truths], anchors[t.positives])
        for boxes, t in zip(truth, targets, strict=True)
    ]
    terms = ncs_terms(logits, deltas, targets, np.concatenate(coded), settings.ncs)
    if "dfps" not in objective.branches:
        return terms
    proposals = batch_proposals(logits, deltas, anchors, shape, settings.ncs)
    samples = [
        sample_boxes(p, t, settings.dfps, rng)
        for p, t, rng in zip(proposals, truth, rngs, strict=True)
    ]
    boxes = np.concatenate([s.boxes for s in samples])
    items = np.repeat(np.arange(len(samples)), [len(s.boxes) for s in samples])
    scores, box_deltas = net.score(features, items, boxes)
    terms |= dfps_terms(scores, box_deltas, samples, truth, settings.dfps)
    if "sr" in objective.branches:
        if settings.dfps.regression:
            boxes = decoded(box_deltas.detach().cpu().numpy(), boxes, shape)
        probability = scores.detach().softmax(1)[:, 1].cpu().numpy()
        detections = Detections(items, boxes, probability)
        terms["sr"] = sr_term(net, features, detections, labels, settings.sr)
    return terms


def ncs_terms(
    logits: Tensor,
    deltas: Tensor,
    targets: Sequence[AnchorTargets],
    coded: NDArray[np.float32],
    settings: NcsSettings,
) -> dict[str, Tensor]:
    """Class and box loss of candidate screening; coded: the deltas (P, 6) of all positives."""
    positive = torch.cat([row[t.positives] for row, t in zip(logits, targets, strict=True)])
    negative = torch.cat([row[t.negatives] for row, t in zip(logits, targets, strict=True)])
    predicted = torch.cat([row[t.positives] for row, t in zip(deltas, targets, strict=True)])
    classed = screening_loss(positive, negative, settings.hard_negatives, len(logits))
    boxed = regression_loss(predicted, torch.from_numpy(coded).to(predicted.device))
    return {
        "ncs_class": classed * settings.weight,
        "ncs_box": boxed * settings.box_weight * settings.weight,
    }


def batch_proposals(
    logits: Tensor,
    deltas: Tensor,
    anchors: Boxes,
    shape: tuple[int, ...],
    settings: NcsSettings,
) -> list[Boxes]:
    """The proposals (n, 6) of every crop: above the threshold, after NMS, the best ones."""
    probabilities = logits.detach().sigmoid().cpu().numpy()
    coded = deltas.detach().cpu().numpy()
    crops = [Screened(p, d, anchors, shape) for p, d in zip(probabilities, coded, strict=True)]
    threshold, iou = settings.proposal_threshold, settings.nms_iou
    return [candidates(crop, threshold, iou)[0][: settings.proposals] for crop in crops]


def candidates(
    screened: Screened, threshold: float, nms_iou: float
) -> tuple[Boxes, NDArray[np.float32]]:
    """Boxes (n, 6) and probabilities (n,) above `threshold` after NMS, by falling probability."""
    above = np.flatnonzero(screened.probability > threshold)
    probability = screened.probability[above]
    boxes = decoded(screened.deltas[above], screened.anchors[above], screened.shape)
    kept = nms(boxes, probability, nms_iou)
    return boxes[kept], probability[kept]


def decoded(deltas: NDArray[np.float32], anchors: Boxes, shape: tuple[int, ...]) -> Boxes:
    """Decode the network's deltas (n, 6) with centres inside `shape`. Raises `Diverged`."""
    boxes: Boxes = decode(np.nan_to_num(deltas, nan=np.inf), anchors, shape)
    if not (np.isfinite(boxes).all() and (boxes[:, 3:] > 0).all()):
        raise Diverged("the network's boxes have no finite size")
    return boxes


def dfps_terms(
    logits: Tensor,
    deltas: Tensor,
    samples: Sequence[BoxSample],
    truth: Sequence[Boxes],
    settings: DfpsSettings,
) -> dict[str, Tensor]:
    """Class and box loss of false positive reduction over the batch."""
    truths = np.concatenate([s.truths for s in samples])
    positive = torch.from_numpy(truths >= 0).to(logits.device)
    terms = {"dfps_class": suppression_loss(logits, positive) * settings.weight}
    if settings.regression:
        coded = np.concatenate(
            [
                encode(t[s.truths[s.truths >= 0]], s.boxes[s.truths >= 0])
                for s, t in zip(samples, truth, strict=True)
            ]
        )
        targets = torch.from_numpy(coded).to(deltas.device)
        boxed = regression_loss(deltas[positive], targets)
        terms["dfps_box"] = boxed * settings.box_weight * settings.weight
    return terms


def sr_term(
    net: NoduleNet,
    features: Features,
    found: Detections,
    labels: NDArray[np.integer],
    settings: SrSettings,
) -> Tensor:
    """Mask losses of the detections, summed or averaged; those with no nodule voxel in their crop
    have none."""
    total, count = features.dec2.new_zeros((), dtype=torch.float32), 0
    nodules = torch.from_numpy(labels > 0).to(total.device)
    likely = found.probability > settings.threshold
    for item, crop_labels in enumerate(labels):
        mine = np.flatnonzero((found.items == item) & likely)
        kept = mine[nms(found.boxes[mine], found.probability[mine], settings.nms_iou)]
        spans = sr_corners(found.boxes[kept], crop_labels.shape, settings.snap)
        for low, high in zip(*spans, strict=True):
            crop = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            if crop_labels[crop].any():
                logits = net.sr(features, item, low, high)
                target = nodules[item][crop]
                total = total + mask_loss(logits, target, settings.alpha, settings.beta)
                count += 1
    if settings.reduction == "mean":
        total = total / max(count, 1)
    return total * settings.weight
