"""Targets of the branches: truth boxes, anchor labels and sampled boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from nodulenet.boxes import iou_matrix
from nodulenet.settings import DfpsSettings, NcsSettings, TargetSettings

Boxes = NDArray[np.float32]
Indices = NDArray[np.int64]


def truth_boxes(
    labels: NDArray[np.integer], margin_total: float = TargetSettings().margin_total
) -> Boxes:
    """Instance labels (z, y, x) -> boxes (T, 6) in voxels, by rising label.

    A mask from voxel a to b has centre (a + b) / 2 and side b - a + 1 + `margin_total`.
    """
    boxes = [
        [(s.start + s.stop - 1) / 2 for s in found]
        + [s.stop - s.start + margin_total for s in found]
        for found in find_objects(labels)
        if found is not None
    ]
    return np.array(boxes, np.float32).reshape(-1, 6)


@dataclass(frozen=True, eq=False)
class AnchorTargets:
    """positives: anchor indices (P,); truths: the truth box of each (P,); negatives: (Q,)."""

    positives: Indices
    truths: Indices
    negatives: Indices


def anchor_targets(
    anchors: Boxes, truth: Boxes, settings: NcsSettings, rng: np.random.Generator
) -> AnchorTargets:
    """Label the anchors (N, 6) of one crop by its truth boxes (T, 6) and draw its negatives.

    Positive: IoU >= `positive_iou` with a truth box, or the best anchors (all that tie) of a
    truth box that has no such anchor. Negative: below `negative_iou` with all. Rest: ignored.
    """
    if len(truth) == 0:
        none = np.zeros(0, np.int64)
        negatives = draw_indices(rng, np.arange(len(anchors)), settings.negatives)
        return AnchorTargets(none, none, negatives)
    iou = iou_matrix(anchors, truth)
    best = iou.max(0)
    floor = np.where(best >= settings.positive_iou, settings.positive_iou, best)
    hits = (iou >= floor) & (iou > 0)
    positives = np.flatnonzero(hits.any(1))
    truths = np.where(hits[positives], iou[positives], -1).argmax(1)
    if settings.positives == "one_per_crop" and len(positives) > 1:
        one = rng.integers(len(positives), size=1)
        positives, truths = positives[one], truths[one]
    negatives = np.flatnonzero((iou < settings.negative_iou).all(1) & ~hits.any(1))
    return AnchorTargets(positives, truths, draw_indices(rng, negatives, settings.negatives))


def draw_indices(rng: np.random.Generator, indices: Indices, number: int) -> Indices:
    """At most `number` of the indices, without replacement, sorted."""
    if len(indices) <= number:
        return indices
    return np.sort(rng.choice(indices, number, replace=False))


@dataclass(frozen=True, eq=False)
class BoxSample:
    """Sampled boxes (S, 6) with the truth box of each (S,), -1 for a negative."""

    boxes: Boxes
    truths: Indices


def sample_boxes(
    proposals: Boxes, truth: Boxes, settings: DfpsSettings, rng: np.random.Generator
) -> BoxSample:
    """Draw the DFPS boxes of one crop from its proposals and truth boxes.

    At most `positives` positives; negatives, drawn with replacement if too few, fill up to
    `samples`. Without negatives only the positives are used; a crop without nodules gives at most
    `samples` negatives.
    """
    boxes = np.concatenate([proposals, truth])
    if len(truth) == 0:
        chosen = draw_indices(rng, np.arange(len(boxes)), settings.samples)
        return BoxSample(boxes[chosen], np.full(len(chosen), -1))
    iou = iou_matrix(boxes, truth)
    best = iou.max(1)
    positives = draw_indices(rng, np.flatnonzero(best >= settings.positive_iou), settings.positives)
    negatives = np.flatnonzero(best < settings.negative_iou)
    wanted = settings.samples - len(positives)
    if len(negatives):
        negatives = rng.choice(negatives, wanted, replace=len(negatives) < wanted)
    chosen = np.concatenate([positives, negatives])
    truths = np.concatenate([iou[positives].argmax(1), np.full(len(negatives), -1)])
    return BoxSample(boxes[chosen], truths)
