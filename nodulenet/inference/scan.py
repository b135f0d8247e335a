"""Prediction of one volume by one network, or by several networks and mirror images together.

All passes (a network and a mirror image each) look at the same anchors. Their candidate
probabilities are averaged anchor by anchor, one suppression passes over what is left, and every
pass then gives its second opinion and its mask of the same candidates, which are averaged again.
Boxes are averaged with the probabilities as weights: a pass that sees no nodule at a place was
never trained on a box there. The mean of a single pass is its output, bit for bit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes import decode, nms
from nodulenet.boxes.anchors import ANCHOR_SIDES, STRIDE, anchors_at, constant
from nodulenet.inference.predictor import Member, Pass, Predictor, ScanPrediction
from nodulenet.masks import CroppedMask, crop, suppress_masks
from nodulenet.model.backbone import Features
from nodulenet.model.corners import sr_corners
from nodulenet.model.device import mixed_precision
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.objective import Diverged
from nodulenet.model.roi_pool import CropGroup
from nodulenet.settings import InferenceSettings

Advance = Callable[[], object]
"""Called after each pass through a backbone."""

SIZE_MULTIPLE = 16
BOXES_AT_ONCE = 256
VOXELS_AT_ONCE = 2**18
"""Maximum number of voxels segmented in one call; a single larger crop is segmented alone."""

SMALLEST = 1e-6
"""Minimum weight of a box, to avoid division by zero."""


@torch.inference_mode()
def predict_window(
    predictor: Predictor, volume: NDArray[np.uint8], advance: Advance = lambda: None
) -> ScanPrediction:
    """Predict a preprocessed volume, or a window of one, (z, y, x), at once.

    Raises `Diverged` where a network's boxes are not finite.
    """
    settings, passes = predictor.settings, predictor.passes
    branches = predictor.members[0].provenance.branches
    device = next(predictor.members[0].net.parameters()).device
    image = torch.from_numpy(padded(volume, settings.pad_value))[None, None].to(device)
    with mixed_precision(device, predictor.amp):
        probability, deltas, features = _screen(passes, image, advance)
        boxes, first = _candidates(probability, deltas, image, volume.shape, settings)
        if "dfps" not in branches:
            every = np.ones(len(boxes), bool)
            return ScanPrediction(_on_host(boxes), _on_host(first), None, None, every, {})
        second, refined = _score_candidates(passes, features, boxes, image.shape[2:], volume.shape)
        order = nms(refined, second, settings.nms_iou)
        rows = order[(first[order] + second[order]) / 2 >= predictor.least]
        masks: dict[int, CroppedMask] = {}
        if "sr" in branches and len(rows):
            if len(passes) > 1:
                features = (_features_again(one, image, advance) for one in passes)
            found = _segment(passes, features, refined[rows], image.shape[2:], volume.shape)
            masks = suppress_masks(dict(zip(rows.tolist(), found, strict=True)), settings.mask_iou)
    kept = np.zeros(len(boxes), bool)
    kept[_on_host(order)] = True
    both = _on_host(boxes), _on_host(first), _on_host(refined), _on_host(second)
    return ScanPrediction(*both, kept, masks)


def _on_host(tensor: Tensor) -> NDArray:
    return tensor.cpu().numpy()


def padded(volume: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """The volume, padded at its far ends to multiples of 16 voxels."""
    far = [(0, -n % SIZE_MULTIPLE) for n in volume.shape]
    return np.pad(volume, far, constant_values=value)


def _screen(
    passes: Sequence[Pass], image: Tensor, advance: Advance
) -> tuple[Tensor, Tensor, Iterable[Features]]:
    """The mean probability (N,) and deltas (N, 6) of the passes for every anchor, and of each pass
    the features that DFPS looks at."""
    grid = tuple(n // STRIDE for n in image.shape[2:])
    mean, features = _Mean(len(passes)), []
    for one in passes:
        seen, logits, deltas = one.member.net(normalise(one.mirrored(image)))
        probability = logits[0].sigmoid().view(*grid, len(ANCHOR_SIDES)).flip(one.mirror)
        deltas = deltas[0].view(*probability.shape, 6).flip(one.mirror)
        deltas[..., list(one.mirror)] *= -1
        mean.add(probability, deltas)
        features.append(seen if len(passes) == 1 else _for_score(seen, one.member.net))
        advance()
    probability, deltas = mean.result()
    return probability.flatten(), deltas.view(-1, 6), features


def _candidates(
    probability: Tensor,
    deltas: Tensor,
    image: Tensor,
    shape: tuple[int, ...],
    settings: InferenceSettings,
) -> tuple[Tensor, Tensor]:
    """Boxes (n, 6) and probabilities (n,) above the threshold after NMS, by falling probability."""
    above = (probability > settings.ncs_threshold).nonzero()[:, 0]
    anchors = anchors_at(above, tuple(n // STRIDE for n in image.shape[2:]))
    boxes, probability = _decoded(deltas[above], anchors, shape), probability[above]
    kept = nms(boxes, probability, settings.nms_iou)
    return boxes[kept], probability[kept]


def _decoded(deltas: Tensor, anchors: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Decode deltas (n, 6) with centres inside `shape`. Raises `Diverged`."""
    boxes = decode(deltas, anchors, shape)
    if not bool(boxes.isfinite().all() & (boxes[:, 3:] > 0).all()):
        raise Diverged("the network's boxes have no finite size")
    return boxes


def _for_score(features: Features, net: NoduleNet) -> Features:
    """The features without the maps that DFPS does not use, to save memory with many passes."""
    nothing = features.image[:0, :0]
    others = [name for name in features._fields if name != net.dfps_features]
    return features._replace(**dict.fromkeys(others, nothing))


def _features_again(one: Pass, image: Tensor, advance: Advance) -> Features:
    """All features of one pass, computed a second time."""
    features = one.member.net.backbone(normalise(one.mirrored(image)))
    advance()
    return features


def _score_candidates(
    passes: Sequence[Pass],
    features: Iterable[Features],
    boxes: Tensor,
    image_shape: tuple[int, ...],
    shape: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Mean nodule probabilities (N,) and decoded boxes (N, 6) of candidates (N, 6)."""
    mean = _Mean(len(passes))
    last = constant(tuple(n - 1.0 for n in image_shape), boxes.device)
    for one, seen in zip(passes, features, strict=True):
        axes = list(one.mirror)
        mirrored = boxes.clone()
        mirrored[:, axes] = last[axes] - boxes[:, axes]
        probability, deltas = _score_pass(one.member, seen, mirrored)
        deltas[:, axes] *= -1
        mean.add(probability, deltas)
    probability, deltas = mean.result()
    return probability, _decoded(deltas, boxes, shape)


def _score_pass(member: Member, features: Features, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """One pass's probabilities (N,) and deltas (N, 6), zero where boxes are not refined."""
    probability, deltas = boxes.new_zeros(len(boxes)), torch.zeros_like(boxes)
    for first in range(0, len(boxes), BOXES_AT_ONCE):
        part = slice(first, first + BOXES_AT_ONCE)
        items = torch.zeros(len(boxes[part]), dtype=torch.int64, device=boxes.device)
        logits, found = member.net.score(features, items, boxes[part])
        probability[part] = logits.softmax(1)[:, 1]
        if member.provenance.settings.dfps.regression:
            deltas[part] = found
    return probability, deltas


def _segment(
    passes: Sequence[Pass],
    features: Iterable[Features],
    boxes: Tensor,
    image_shape: tuple[int, ...],
    shape: tuple[int, ...],
) -> list[CroppedMask]:
    """The mask of every box, where the passes' mean probability is above 0.5, within `shape`.

    Crops of one size are segmented together. Summed is tanh(logit / 2) = 2 (probability - 1/2),
    whose sign is exact near 1/2 too.
    """
    low, high = sr_corners(boxes, image_shape, passes[0].member.provenance.settings.sr.snap)
    lows, highs = _on_host(low), _on_host(high)
    groups = _groups(highs - lows)
    sums = [torch.zeros(len(rows), *sides, device=low.device) for sides, rows in groups]
    for one, seen in zip(passes, features, strict=True):
        axes = list(one.mirror)
        places = np.pad(lows, ((0, 0), (1, 0)))  # batch item 0
        places[:, 1:][:, axes] = (np.array(image_shape) - highs)[:, axes]
        for k, (sides, rows) in enumerate(groups):
            (logits,) = one.member.net.sr(seen, [CropGroup(sides, places[rows])])
            sums[k] += (logits / 2).tanh().flip([axis + 1 for axis in axes])
    masks = [
        (row, mask)
        for (_, rows), total in zip(groups, sums, strict=True)
        for row, mask in zip(rows, _on_host(total > 0), strict=True)
    ]
    return [crop(mask, lows[row], shape) for row, mask in sorted(masks, key=itemgetter(0))]


def _groups(sizes: NDArray[np.int64]) -> list[tuple[tuple[int, ...], list[int]]]:
    """Group the rows of sizes (n, 3) by equal size: at most `VOXELS_AT_ONCE` voxels, or one row."""
    alike = defaultdict(list)
    for row, size in enumerate(sizes.tolist()):
        alike[tuple(size)].append(row)
    groups = []
    for size, rows in alike.items():
        most = max(1, VOXELS_AT_ONCE // int(np.prod(size)))
        groups += [(size, rows[k : k + most]) for k in range(0, len(rows), most)]
    return groups


class _Mean:
    """Mean of probabilities (...) and of deltas (..., 6), weighted by the probabilities."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sums: list[Tensor] = []

    def add(self, probability: Tensor, deltas: Tensor) -> None:
        """Add the output of one of the `number` passes."""
        terms = [probability, deltas]
        if self.number > 1:
            weight = probability.clamp_min(SMALLEST)
            terms = [probability, weight[..., None] * deltas, weight]
        self.sums = [a + b for a, b in zip(self.sums, terms, strict=True)] if self.sums else terms

    def result(self) -> tuple[Tensor, Tensor]:
        """The means; of a single pass its output itself."""
        total, weighted, *weights = self.sums
        if self.number == 1:
            return total, weighted
        return total / self.number, weighted / weights[0][..., None]
