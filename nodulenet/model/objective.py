"""The training objective: one batch through the branches of a stage to its loss terms."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes import decode, encode, nms
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.model.backbone import Features
from nodulenet.model.crops import sr_corners
from nodulenet.model.losses import mask_loss, regression_loss, screening_loss, suppression_loss
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.settings import MARGIN_TOTAL, Branch, DfpsSettings, NcsSettings, SrSettings
from nodulenet.model.targets import Boxes, BoxSample, anchor_targets, sample_boxes, truth_boxes


class Diverged(ArithmeticError):
    """The network's output or its loss is no longer a number."""


@dataclass(frozen=True)
class Objective:
    """What a stage optimises: its branches and their settings."""

    branches: Sequence[Branch]
    ncs: NcsSettings = field(default_factory=NcsSettings)
    dfps: DfpsSettings = field(default_factory=DfpsSettings)
    sr: SrSettings = field(default_factory=SrSettings)
    margin_total: float = MARGIN_TOTAL


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
    features, logits, deltas = net(normalise(images))
    truth = [truth_boxes(crop, objective.margin_total) for crop in labels]
    anchors = anchor_grid(tuple(n // STRIDE for n in labels.shape[1:]))
    terms = ncs_terms(logits, deltas, truth, anchors, objective.ncs, rngs)
    if "dfps" not in objective.branches:
        return terms
    proposals = batch_proposals(logits, deltas, anchors, labels.shape[1:], objective.ncs)
    samples = [
        sample_boxes(p, t, objective.dfps, rng)
        for p, t, rng in zip(proposals, truth, rngs, strict=True)
    ]
    boxes = np.concatenate([s.boxes for s in samples])
    items = np.repeat(np.arange(len(samples)), [len(s.boxes) for s in samples])
    scores, box_deltas = net.score(features, items, boxes)
    terms |= dfps_terms(scores, box_deltas, samples, truth, objective.dfps)
    if "sr" in objective.branches:
        if objective.dfps.regression:
            boxes = decoded(box_deltas.detach().cpu().numpy(), boxes, labels.shape[1:])
        probability = scores.detach().softmax(1)[:, 1].cpu().numpy()
        terms["sr"] = sr_term(net, features, items, boxes, probability, labels, objective.sr)
    return terms


def ncs_terms(
    logits: Tensor,
    deltas: Tensor,
    truth: Sequence[Boxes],
    anchors: Boxes,
    settings: NcsSettings,
    rngs: Sequence[np.random.Generator],
) -> dict[str, Tensor]:
    """Class and box loss of candidate screening over the batch."""
    targets = [
        anchor_targets(anchors, boxes, settings, rng)
        for boxes, rng in zip(truth, rngs, strict=True)
    ]
    positive = torch.cat([row[t.positives] for row, t in zip(logits, targets, strict=True)])
    negative = torch.cat([row[t.negatives] for row, t in zip(logits, targets, strict=True)])
    predicted = torch.cat([row[t.positives] for row, t in zip(deltas, targets, strict=True)])
    coded = np.concatenate(
        [encode(b[t.truths], anchors[t.positives]) for b, t in zip(truth, targets, strict=True)]
    )
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
    return [
        candidates(p, d, anchors, shape, settings.proposal_threshold, settings.nms_iou)[0][
            : settings.proposals
        ]
        for p, d in zip(probabilities, coded, strict=True)
    ]


def candidates(
    probability: NDArray[np.float32],
    deltas: NDArray[np.float32],
    anchors: Boxes,
    shape: tuple[int, ...],
    threshold: float,
    nms_iou: float,
) -> tuple[Boxes, NDArray[np.float32]]:
    """Boxes (n, 6) and probabilities (n,) above `threshold` after NMS, by falling probability."""
    above = np.flatnonzero(probability > threshold)
    boxes = decoded(deltas[above], anchors[above], shape)
    kept = nms(boxes, probability[above], nms_iou)
    return boxes[kept], probability[above][kept]


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
    """Class and box loss of false positive suppression over the batch."""
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
    items: NDArray[np.int64],
    boxes: Boxes,
    probability: NDArray[np.float32],
    labels: NDArray[np.integer],
    settings: SrSettings,
) -> Tensor:
    """Mask losses of the detections, summed or averaged; those without a nodule's voxel count
    for nothing."""
    total, count = features.dec2.new_zeros((), dtype=torch.float32), 0
    nodules = torch.from_numpy(labels > 0).to(total.device)
    for item, crop_labels in enumerate(labels):
        mine = np.flatnonzero((items == item) & (probability > settings.threshold))
        kept = mine[nms(boxes[mine], probability[mine], settings.nms_iou)]
        for low, high in zip(
            *sr_corners(boxes[kept], crop_labels.shape, settings.snap), strict=True
        ):
            crop = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            if crop_labels[crop].any():
                logits = net.sr(features, item, low, high)
                target = nodules[item][crop]
                total = total + mask_loss(logits, target, settings.alpha, settings.beta)
                count += 1
    if settings.reduction == "mean":
        total = total / max(count, 1)
    return total * settings.weight
