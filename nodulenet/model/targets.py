"""Targets of the branches: truth boxes, anchor labels and sampled boxes."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from torch import Tensor

from nodulenet.boxes import encode, match
from nodulenet.boxes.matching import IGNORED, NEGATIVE
from nodulenet.model.draws import draw, draw_keys
from nodulenet.settings import DfpsSettings, NcsSettings, TargetSettings

NEGATIVE_ANCHORS, POSITIVE_ANCHOR = 1, 2
POSITIVE_BOXES, NEGATIVE_BOXES = 3, 4
REPEATED_BOXES = 5  # negative ones, where there are too few


class TruthBoxes(NamedTuple):
    """The nodules of a crop. boxes: (T, 6) in voxels; sized: (T,) whether the size of each is
    known, so that it is an example for box regression.
    """

    boxes: NDArray[np.float32]
    sized: NDArray[np.bool_]


def truth_boxes(
    labels: NDArray[np.integer],
    margin_total: float = TargetSettings().margin_total,
    unsized: Collection[int] = (),
) -> TruthBoxes:
    """The boxes of instance labels (z, y, x), by rising label. unsized: labels of unknown size.

    A mask from voxel a to b has centre (a + b) / 2 and side b - a + 1 + `margin_total`.
    """
    places = {
        label: found for label, found in enumerate(find_objects(labels), 1) if found is not None
    }
    boxes = [
        [(s.start + s.stop - 1) / 2 for s in found]
        + [s.stop - s.start + margin_total for s in found]
        for found in places.values()
    ]
    sized = [label not in unsized for label in places]
    return TruthBoxes(np.array(boxes, np.float32).reshape(-1, 6), np.array(sized, np.bool_))


def padded_truth(crops: Sequence[TruthBoxes]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes (B, T, 6) and `sized` (B, T) of crops, T at least 1, padded with zeros."""
    most = max(1, *(len(crop.boxes) for crop in crops))
    truth = np.zeros((len(crops), most, 6), np.float32)
    sized = np.zeros((len(crops), most), np.bool_)
    for number, crop in enumerate(crops):
        truth[number, : len(crop.boxes)] = crop.boxes
        sized[number, : len(crop.boxes)] = crop.sized
    return truth, sized


class AnchorTargets(NamedTuple):
    """labels: (B, N) the truth box of each positive anchor, or `NEGATIVE` or `IGNORED`; coded:
    (B, N, 6) its deltas where it is positive; negatives: (B, k) the negative anchors drawn; drawn:
    (B, k) which of them are valid."""

    labels: Tensor
    coded: Tensor
    negatives: Tensor
    drawn: Tensor


def anchor_targets(
    anchors: Tensor, truth: Tensor, settings: NcsSettings, seeds: Tensor
) -> AnchorTargets:
    """Label the anchors (N, 6) of every crop by its truth boxes (B, T, 6) and draw its negatives.

    Positive: IoU >= `positive_iou` with a truth box, or the best anchors (all that tie) of a
    truth box that has no such anchor. Negative: below `negative_iou` with all. Rest: ignored.
    seeds: (B,) int64.
    """
    thresholds = settings.positive_iou, settings.negative_iou
    labels = match(anchors[None], truth, *thresholds, best=True)
    negatives, drawn = draw(labels == NEGATIVE, settings.negatives, seeds, NEGATIVE_ANCHORS)
    if settings.positives == "one_per_crop":
        one, _ = draw(labels >= 0, 1, seeds, POSITIVE_ANCHOR)
        others = (labels >= 0).scatter(1, one, False)
        labels = labels.masked_fill(others, IGNORED)
    return AnchorTargets(labels, coded_truth(truth, labels, anchors), negatives, drawn)


def coded_truth(truth: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
    """The truth box of every label as deltas from its box; meaningless where a label is negative.

    truth: (B, T, 6); labels: (B, N); boxes: (B, N, 6) or (N, 6). Returns (B, N, 6).
    """
    return encode(boxes_at(truth, labels), boxes)


def with_size(labels: Tensor, sized: Tensor) -> Tensor:
    """Which labels (B, N) name a truth box whose size is known: those that learn its box.

    sized: (B, T).
    """
    return (labels >= 0) & sized.gather(1, labels.clamp(min=0))


class BoxSample(NamedTuple):
    """Sampled boxes (B, S, 6) with the truth box of each (B, S), `NEGATIVE` for none.

    valid: (B, S) which of them are sampled; the others repeat the crop's first one, or are zero in
    a crop without any.
    """

    boxes: Tensor
    truths: Tensor
    valid: Tensor


def sample_boxes(
    proposals: Tensor, valid: Tensor, truth: Tensor, settings: DfpsSettings, seeds: Tensor
) -> BoxSample:
    """Draw the DFPS boxes of every crop from its proposals (B, P, 6) and truth boxes (B, T, 6).

    valid: (B, P) which proposals there are. At most `positives` positives; negatives, drawn with
    replacement if too few, fill up to `samples`. Without negatives only the positives are used; a
    crop without nodules gives at most `samples` negatives.
    """
    boxes = torch.cat([proposals, truth], 1)
    real = truth[..., 3] > 0
    labels = match(boxes, truth, settings.positive_iou, settings.negative_iou)
    labels = labels.masked_fill(~torch.cat([valid, real], 1), IGNORED)
    positives, good = draw(labels >= 0, settings.positives, seeds, POSITIVE_BOXES)
    negatives, bad = draw(labels == NEGATIVE, settings.samples, seeds, NEGATIVE_BOXES)

    n_positive, n_negative = good.sum(1, keepdim=True), bad.sum(1, keepdim=True)
    slot = torch.arange(settings.samples, device=boxes.device)
    place = (slot - n_positive).clamp(min=0)  # among the negatives
    again = draw_keys(seeds, REPEATED_BOXES, settings.samples) % n_negative.clamp(min=1)
    too_few = n_negative < settings.samples - n_positive
    place = torch.where(too_few & real.any(1, keepdim=True), again, place)
    chosen = torch.where(
        slot < n_positive,
        taken(positives, slot.expand_as(place)),
        taken(negatives, place),
    )
    filled = (slot < n_positive) | (place < n_negative)
    # Unused slots repeat the first box, so that `live_units` sees no unit that no box activates.
    chosen = torch.where(filled, chosen, chosen[:, :1])
    sampled = boxes_at(boxes, chosen) * filled.any(1)[:, None, None]
    return BoxSample(sampled, labels.gather(1, chosen), filled)


def boxes_at(boxes: Tensor, index: Tensor) -> Tensor:
    """Boxes (B, n, 6) of each crop's (B, N, 6) at `index` (B, n); at 0 where that is negative."""
    return boxes.gather(1, index.clamp(min=0)[..., None].expand(-1, -1, 6))


def taken(rows: Tensor, place: Tensor) -> Tensor:
    """Gather from each row (B, k) at `place` (B, S), clamped to the last column."""
    return rows.gather(1, place.clamp(max=rows.shape[1] - 1))
