"""The training objective a second time, as plainly as it can be written.

Float64, loops, the published network of published_network.py and of the package only the numbers
of the purposes of draws: what the
loss terms, the chosen boxes and the gradients of a batch must be, and what a step of the optimiser
makes of them. Boxes are tuples (z, y, x, d, h, w) in voxels.
"""

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import published_network as published
import torch
from plain_draws import plain_draw, plain_key
from torch import Tensor

from nodulenet.model.targets import (
    NEGATIVE_ANCHORS,
    NEGATIVE_BOXES,
    POSITIVE_ANCHOR,
    POSITIVE_BOXES,
    REPEATED_BOXES,
)

SIDES = (5, 10, 20, 30, 50)

Box = tuple[float, ...]
Span = tuple[tuple[int, int], ...]
"""First voxel and the one after the last, along z, y and x."""


@dataclass
class Chosen:
    """What was chosen on the way to the loss, crop by crop; likely: detections before their NMS;
    sizeless: which truth boxes have no known size."""

    positives: list[list[int]] = field(default_factory=list)
    truths: list[list[int]] = field(default_factory=list)
    sizeless: list[list[bool]] = field(default_factory=list)
    negatives: list[list[int]] = field(default_factory=list)
    proposals: list[list[Box]] = field(default_factory=list)
    samples: list[list[tuple[Box, int]]] = field(default_factory=list)
    likely: int = 0
    segmented: list[tuple[int, Span]] = field(default_factory=list)


def iou(a: Box, b: Box) -> float:
    """Intersection over union."""
    overlap, first, second = 1.0, 1.0, 1.0
    for axis in range(3):
        low = max(a[axis] - a[axis + 3] / 2, b[axis] - b[axis + 3] / 2)
        high = min(a[axis] + a[axis + 3] / 2, b[axis] + b[axis + 3] / 2)
        overlap *= max(high - low, 0.0)
        first *= a[axis + 3]
        second *= b[axis + 3]
    return overlap / (first + second - overlap)


def suppressed(boxes: list[Box], scores: list[float], threshold: float) -> list[int]:
    """Which boxes stay, best first: one that overlaps a better one from the threshold on falls."""
    kept: list[int] = []
    for k in sorted(range(len(boxes)), key=lambda k: -scores[k]):
        if all(iou(boxes[k], boxes[other]) < threshold for other in kept):
            kept.append(k)
    return kept


def encode(box: Box, anchor: Box) -> list[float]:
    """Centre offset in anchor sides, logarithm of the ratio of sides."""
    offsets = [(box[axis] - anchor[axis]) / anchor[axis + 3] for axis in range(3)]
    return offsets + [math.log(box[axis + 3] / anchor[axis + 3]) for axis in range(3)]


def decode(delta: list[float], anchor: Box, shape: tuple[int, ...]) -> Box:
    """The inverse, with the centre inside the crop."""
    centre = [
        min(max(anchor[axis] + delta[axis] * anchor[axis + 3], 0), shape[axis] - 1)
        for axis in range(3)
    ]
    return (*centre, *(anchor[axis] * math.exp(delta[axis]) for axis in range(3, 6)))


def anchor_boxes(shape: tuple[int, ...]) -> list[Box]:
    """A cube of each side at the middle of every block of 4 voxels a side."""
    places = itertools.product(*(range(n // 4) for n in shape))
    return [
        (1.5 + 4 * i, 1.5 + 4 * j, 1.5 + 4 * k, side, side, side)
        for i, j, k in places
        for side in SIDES
    ]


def truth_boxes(labels: np.ndarray, margin: float) -> list[Box]:
    """The box of every label, larger than its mask by `margin` voxels in all."""
    boxes = []
    for label in sorted(set(labels[labels > 0].tolist())):
        places = np.argwhere(labels == label)
        low, high = places.min(0).tolist(), places.max(0).tolist()
        centre = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
        sides = [b - a + 1 + margin for a, b in zip(low, high, strict=True)]
        boxes.append((*centre, *sides))
    return boxes


def label_anchors(
    anchors: list[Box], truth: list[Box], settings: dict[str, Any], seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Positive anchors, the truth box of each, and the negatives that are drawn."""
    overlaps = [[iou(anchor, box) for box in truth] for anchor in anchors]
    best = [max(row[t] for row in overlaps) for t in range(len(truth))]
    positives, truths, negatives = [], [], []
    for k, row in enumerate(overlaps):
        hit = []
        for t, overlap in enumerate(row):
            alone = best[t] < settings["positive_iou"]
            if overlap > 0 and overlap >= (best[t] if alone else settings["positive_iou"]):
                hit.append(t)
        if hit:
            positives.append(k)
            truths.append(max(hit, key=lambda t: row[t]))
        elif all(overlap < settings["negative_iou"] for overlap in row):
            negatives.append(k)
    if settings["positives"] == "one_per_crop" and len(positives) > 1:
        (one,) = plain_draw(positives, 1, seed, POSITIVE_ANCHOR)
        positives, truths = [one], [truths[positives.index(one)]]
    return (
        positives,
        truths,
        plain_draw(negatives, settings["negatives"], seed, NEGATIVE_ANCHORS),
    )


def sample(
    proposals: list[Box], truth: list[Box], settings: dict[str, Any], seed: int
) -> list[tuple[Box, int]]:
    """The boxes that the second branch learns from, with the truth box of each or -1.

    Proposals are numbered from 0, truth boxes from the largest number of proposals.
    """
    own = settings["dfps"]
    boxes = dict(enumerate(proposals)) | dict(enumerate(truth, settings["ncs"]["proposals"]))
    if not truth:
        return [
            (boxes[k], -1) for k in plain_draw(list(boxes), own["samples"], seed, NEGATIVE_BOXES)
        ]
    best = {k: max(iou(box, other) for other in truth) for k, box in boxes.items()}
    positives = [k for k in boxes if best[k] >= own["positive_iou"]]
    positives = plain_draw(positives, own["positives"], seed, POSITIVE_BOXES)
    negatives = [k for k in boxes if best[k] < own["negative_iou"]]
    negatives = plain_draw(negatives, own["samples"], seed, NEGATIVE_BOXES)
    slots = range(len(positives), own["samples"])
    if len(negatives) >= len(slots):
        negatives = negatives[: len(slots)]
    elif negatives:
        count = len(negatives)
        negatives = [negatives[plain_key(seed, REPEATED_BOXES, slot) % count] for slot in slots]
    nearest = [max(range(len(truth)), key=lambda t: iou(boxes[k], truth[t])) for k in positives]
    chosen = list(zip([boxes[k] for k in positives], nearest, strict=True))
    return chosen + [(boxes[k], -1) for k in negatives]


def log_loss(logit: Tensor, wanted: int) -> Tensor:
    """- log of the probability of what is wanted, 0 or 1."""
    return torch.log1p(torch.exp(-logit if wanted else logit))


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum() / len(values)


def zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


def class_loss(positives: list[Tensor], negatives: list[Tensor], kept: int) -> Tensor:
    """Half the mean of the positives and half that of the `kept` worst negatives."""
    worst = sorted(negatives, key=lambda logit: -logit.item())[:kept]
    loss = mean([log_loss(logit, 0) for logit in worst]) / 2
    if positives:
        loss = loss + mean([log_loss(logit, 1) for logit in positives]) / 2
    return loss


def box_loss(deltas: list[Tensor], targets: list[list[float]]) -> Tensor:
    """Smooth L1, summed over the six numbers of a box and averaged over the boxes."""
    if not deltas:
        return zero()
    total = zero()
    for delta, target in zip(deltas, targets, strict=True):
        for k in range(6):
            off = (delta[k] - target[k]).abs()
            total = total + (off**2 / 2 if off.item() < 1 else off - 0.5)
    return total / len(deltas)


def balanced_loss(logits: list[Tensor], nodule: list[bool]) -> Tensor:
    """Cross-entropy in which nodules and the rest count alike."""
    each = [log_loss(pair[1] - pair[0], int(own)) for pair, own in zip(logits, nodule, strict=True)]
    classes = []
    for kind in (True, False):
        own = [loss for loss, is_nodule in zip(each, nodule, strict=True) if is_nodule == kind]
        if own:
            classes.append(mean(own))
    return mean(classes) if classes else zero()


def mask_loss(logits: Tensor, target: np.ndarray, alpha: float, beta: float) -> Tensor:
    """Tversky loss: alpha weighs what is called nodule and is none, beta what is missed."""
    p = 1 / (1 + torch.exp(-logits))
    g = torch.tensor(target, dtype=torch.float64)
    right, too_much, too_little = (p * g).sum(), (p * (1 - g)).sum(), ((1 - p) * g).sum()
    return 1 - right / (right + alpha * too_much + beta * too_little + 1e-5)


def span_in_features(box: Box, shape: tuple[int, ...]) -> Span:
    """The voxels of a map at 1/4 that a box touches."""
    spans = []
    for axis in range(3):
        low = math.floor((box[axis] - box[axis + 3] / 2) / 4)
        high = math.ceil((box[axis] + box[axis + 3] / 2) / 4)
        low = min(max(low, 0), shape[axis] - 1)
        spans.append((low, min(max(high, low + 1), shape[axis])))
    return tuple(spans)


def span_in_image(box: Box, shape: tuple[int, ...], snap: str) -> Span:
    """The voxels of the image that are segmented: whole blocks of 4 that a box touches."""
    if snap == "truncate":
        low = [math.trunc(box[axis] - box[axis + 3] / 2) for axis in range(3)]
        high = [math.trunc(box[axis] + box[axis + 3] / 2) for axis in range(3)]
        middle = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
        box = (*middle, *(b - a for a, b in zip(low, high, strict=True)))
    spans = span_in_features(box, tuple(n // 4 for n in shape))
    return tuple((4 * low, 4 * high) for low, high in spans)


def crop_of(x: Tensor, item: int, span: Span, step: int) -> Tensor:
    """(1, C, z, y, x) of a map whose voxels are `step` voxels of the image wide."""
    (a, b), (c, d), (e, f) = (tuple(v // step for v in pair) for pair in span)
    return x[item : item + 1, :, a:b, c:d, e:f]


def loss_terms(
    state: published.State,
    images: np.ndarray,
    labels: np.ndarray,
    settings: dict[str, Any],
    seeds: list[int],
) -> tuple[dict[str, Tensor], Chosen]:
    """Loss terms of a batch of all three branches, and what was chosen for them.

    state: float64 tensors; images and labels: (batch, z, y, x); the setting `unsized` has the
    labels of each crop whose boxes are only classified.
    """
    shape, chosen = labels.shape[1:], Chosen()
    image = (torch.tensor(images, dtype=torch.float64)[:, None] - 128) / 128
    enc1, enc2, dec2 = published.backbone(state, image)
    logits, deltas = screened(state, dec2)
    anchors = anchor_boxes(shape)
    truth = [truth_boxes(crop, settings["margin_total"]) for crop in labels]
    chosen.sizeless = [
        [label in own for label in sorted(set(crop[crop > 0].tolist()))]
        for crop, own in zip(labels, settings["unsized"], strict=True)
    ]
    terms = screening_terms(logits, deltas, anchors, truth, settings["ncs"], seeds, chosen)
    for row, moved in zip(logits, deltas, strict=True):
        chosen.proposals.append(proposed(row, moved, anchors, shape, settings["ncs"]))
    for boxes, own, seed in zip(chosen.proposals, truth, seeds, strict=True):
        chosen.samples.append(sample(boxes, own, settings, seed))
    scores, moves = [], []
    for item, crop in enumerate(chosen.samples):
        for box, _ in crop:
            span = span_in_features(box, tuple(enc2.shape[2:]))
            pair, moved = published.suppress(state, crop_of(enc2, item, span, 1)[0])
            scores.append(pair)
            moves.append(moved[6:])
    terms |= suppression_terms(scores, moves, truth, chosen, settings["dfps"])
    chosen.segmented = detections(scores, moves, chosen, shape, settings)
    losses = []
    for item, span in list(chosen.segmented):
        part = tuple(slice(low, high) for low, high in span)
        nodule = labels[item][part] > 0
        if not nodule.any():
            chosen.segmented.remove((item, span))
            continue
        maps = [crop_of(x, item, span, step) for x, step in ((image, 1), (enc1, 2), (dec2, 4))]
        own = settings["sr"]
        losses.append(mask_loss(published.refine(state, *maps), nodule, own["alpha"], own["beta"]))
    terms["sr"] = torch.stack(losses).sum()
    if settings["sr"]["reduction"] == "mean":
        terms["sr"] = terms["sr"] / len(losses)
    return weighted(terms, settings), chosen


def weighted(terms: dict[str, Tensor], settings: dict[str, Any]) -> dict[str, Tensor]:
    """Every term times the weight of its branch, those of boxes times that of boxes too."""
    found = {}
    for name, term in terms.items():
        branch = settings[name.split("_")[0]]
        found[name] = term * branch["weight"]
        if name.endswith("box"):
            found[name] = found[name] * branch["box_weight"]
    return found


def screened(state: published.State, dec2: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """For every crop the logit of every anchor, and its six deltas."""
    logits, deltas = published.screen(state, dec2)
    rows, moves = [], []
    for item in range(len(dec2)):
        places = list(itertools.product(*(range(n) for n in dec2.shape[2:])))
        rows.append([logits[(item, a, *at)] for at in places for a in range(5)])
        moves.append(
            [deltas[(item, slice(6 * a, 6 * a + 6), *at)] for at in places for a in range(5)]
        )
    return rows, moves


def screening_terms(
    logits: list[list[Tensor]],
    deltas: list[list[Tensor]],
    anchors: list[Box],
    truth: list[list[Box]],
    settings: dict[str, Any],
    seeds: list[int],
    chosen: Chosen,
) -> dict[str, Tensor]:
    positives, negatives, moved, targets = [], [], [], []
    crops = zip(logits, deltas, truth, chosen.sizeless, seeds, strict=True)
    for row, moves, boxes, sizeless, seed in crops:
        hits, owners, misses = label_anchors(anchors, boxes, settings, seed)
        chosen.positives.append(hits)
        chosen.truths.append(owners)
        chosen.negatives.append(misses)
        positives += [row[k] for k in hits]
        negatives += [row[k] for k in misses]
        for k, t in zip(hits, owners, strict=True):
            if not sizeless[t]:
                moved.append(moves[k])
                targets.append(encode(boxes[t], anchors[k]))
    kept = settings["hard_negatives"] * (len(positives) or len(logits))
    return {
        "ncs_class": class_loss(positives, negatives, kept),
        "ncs_box": box_loss(moved, targets),
    }


def proposed(
    logits: list[Tensor],
    deltas: list[Tensor],
    anchors: list[Box],
    shape: tuple[int, ...],
    settings: dict[str, Any],
) -> list[Box]:
    """The best anchors of a crop, moved, without those that overlap a better one."""
    boxes, scores = [], []
    for logit, delta, anchor in zip(logits, deltas, anchors, strict=True):
        probability = 1 / (1 + math.exp(-logit.item()))
        if probability > settings["proposal_threshold"]:
            boxes.append(decode(delta.tolist(), anchor, shape))
            scores.append(probability)
    kept = suppressed(boxes, scores, settings["nms_iou"])
    return [boxes[k] for k in kept][: settings["proposals"]]


def suppression_terms(
    scores: list[Tensor],
    moves: list[Tensor],
    truth: list[list[Box]],
    chosen: Chosen,
    settings: dict[str, Any],
) -> dict[str, Tensor]:
    nodule, moved, targets = [], [], []
    rows = iter(moves)
    for crop, boxes, sizeless in zip(chosen.samples, truth, chosen.sizeless, strict=True):
        for box, owner in crop:
            delta = next(rows)
            nodule.append(owner >= 0)
            if owner >= 0 and not sizeless[owner]:
                moved.append(delta)
                targets.append(encode(boxes[owner], box))
    terms = {"dfps_class": balanced_loss(scores, nodule)}
    return terms | ({"dfps_box": box_loss(moved, targets)} if settings["regression"] else {})


def detections(
    scores: list[Tensor],
    moves: list[Tensor],
    chosen: Chosen,
    shape: tuple[int, ...],
    settings: dict[str, Any],
) -> list[tuple[int, Span]]:
    """Which crops are segmented: the likely nodules, moved, without those that overlap a better."""
    found: list[tuple[int, Span]] = []
    rows = zip(scores, moves, strict=True)
    for item, crop in enumerate(chosen.samples):
        boxes, likely = [], []
        for box, _ in crop:
            pair, delta = next(rows)
            probability = 1 / (1 + math.exp((pair[0] - pair[1]).item()))
            if probability > settings["sr"]["threshold"]:
                moved = decode(delta.tolist(), box, shape)
                boxes.append(moved if settings["dfps"]["regression"] else box)
                likely.append(probability)
        kept = suppressed(boxes, likely, settings["sr"]["nms_iou"])
        chosen.likely += len(likely)
        found += [(item, span_in_image(boxes[k], shape, settings["sr"]["snap"])) for k in kept]
    return found


def sgd_step(
    weight: Tensor, gradient: Tensor, momentum: Tensor, lr: float
) -> tuple[Tensor, Tensor]:
    """A step of the descent with momentum 0.9 and an L2 penalty of 1e-4: the new weight and the
    new momentum, which starts at zero."""
    momentum = 0.9 * momentum + gradient + 0.0001 * weight
    return weight - lr * momentum, momentum
