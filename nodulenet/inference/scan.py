"""Prediction of one volume by one network, or by several networks and mirror images as by one.

All passes (a network and a mirror image each) look at the same anchors. Their candidate
probabilities are averaged anchor by anchor, one suppression passes over what is left, and every
pass then gives its second opinion and its mask of the same candidates, which are averaged again.
Boxes are averaged with the probabilities as weights: a pass that sees no nodule at a place was
never trained on a box there. The mean of a single pass is its output, bit for bit.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes import nms
from nodulenet.boxes.anchors import ANCHOR_SIDES, STRIDE, anchor_grid
from nodulenet.inference.predictor import Member, Pass, Predictor, ScanPrediction
from nodulenet.masks import CroppedMask, crop, suppress_masks
from nodulenet.model.backbone import Features
from nodulenet.model.corners import sr_corners
from nodulenet.model.device import mixed_precision
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.objective import Screened, candidates, decoded
from nodulenet.model.targets import Boxes

Step = Callable[[], object]
"""Called after each pass through a backbone."""

SIZE_MULTIPLE = 16
BOXES_AT_ONCE = 256
SMALLEST = 1e-6
"""Minimum weight of a box, to avoid division by zero."""


@torch.inference_mode()
def predict_window(
    predictor: Predictor, volume: NDArray[np.uint8], step: Step = lambda: None
) -> ScanPrediction:
    """Predict a preprocessed volume, or a window of one, (z, y, x), at once."""
    settings, passes = predictor.settings, predictor.passes
    branches = predictor.members[0].provenance.branches
    device = next(predictor.members[0].net.parameters()).device
    image = torch.from_numpy(padded(volume, settings.pad_value))[None, None].to(device)
    with mixed_precision(device, predictor.amp):
        screened, features = _screen(passes, image, volume.shape, step)
        boxes, first = candidates(screened, settings.ncs_threshold, settings.nms_iou)
        if "dfps" not in branches:
            return ScanPrediction(boxes, first, None, None, np.ones(len(boxes), bool), {})
        second, refined = _score_candidates(passes, features, boxes, image.shape[2:], volume.shape)
        order = nms(refined, second, settings.nms_iou)
        kept = np.zeros(len(boxes), bool)
        kept[order] = True
        masks: dict[int, CroppedMask] = {}
        rows = order[(first[order] + second[order]) / 2 >= predictor.least]
        if "sr" in branches and len(rows):
            if len(passes) > 1:
                features = (_features_again(one, image, step) for one in passes)
            found = _segment(passes, features, refined[rows], image.shape[2:], volume.shape)
            masks = suppress_masks(dict(zip(rows.tolist(), found, strict=True)), settings.mask_iou)
    return ScanPrediction(boxes, first, refined, second, kept, masks)


def padded(volume: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """The volume, padded at its far ends to multiples of 16 voxels."""
    far = [(0, -n % SIZE_MULTIPLE) for n in volume.shape]
    return np.pad(volume, far, constant_values=value)


def _screen(
    passes: Sequence[Pass], image: Tensor, shape: tuple[int, ...], step: Step
) -> tuple[Screened, Iterable[Features]]:
    """The mean of the passes for every anchor, and of each the features that DFPS looks at."""
    grid = tuple(n // STRIDE for n in image.shape[2:])
    mean, features = _Mean(len(passes)), []
    for one in passes:
        seen, logits, deltas = one.member.net(normalise(one.mirrored(image)))
        probability = logits[0].sigmoid().view(*grid, len(ANCHOR_SIDES)).flip(one.mirror)
        deltas = deltas[0].view(*probability.shape, 6).flip(one.mirror)
        deltas[..., list(one.mirror)] *= -1
        mean.add(probability, deltas)
        features.append(seen if len(passes) == 1 else _for_score(seen, one.member.net))
        step()
    probability, deltas = mean.result()
    arrays = probability.flatten().cpu().numpy(), deltas.view(-1, 6).cpu().numpy()
    return Screened(*arrays, anchor_grid(grid), shape), features


def _for_score(features: Features, net: NoduleNet) -> Features:
    """The features without the maps that DFPS does not use, to save memory with many passes."""
    nothing = features.image[:0, :0]
    others = [name for name in features._fields if name != net.dfps_features]
    return features._replace(**dict.fromkeys(others, nothing))


def _features_again(one: Pass, image: Tensor, step: Step) -> Features:
    """All features of one pass, computed a second time."""
    features = one.member.net.backbone(normalise(one.mirrored(image)))
    step()
    return features


def _score_candidates(
    passes: Sequence[Pass],
    features: Iterable[Features],
    boxes: Boxes,
    image_shape: Sequence[int],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.float32], Boxes]:
    """Mean nodule probabilities (N,) and decoded boxes (N, 6) of candidates (N, 6)."""
    mean = _Mean(len(passes))
    for one, seen in zip(passes, features, strict=True):
        axes = list(one.mirror)
        mirrored = boxes.copy()
        mirrored[:, axes] = np.array(image_shape, np.float32)[axes] - 1 - boxes[:, axes]
        probability, deltas = _score_pass(one.member, seen, mirrored)
        deltas[:, axes] *= -1
        mean.add(probability, deltas)
    probability, deltas = mean.result()
    return probability.numpy(), decoded(deltas.numpy(), boxes, shape)


def _score_pass(member: Member, features: Features, boxes: Boxes) -> tuple[Tensor, Tensor]:
    """One pass's probabilities (N,) and deltas (N, 6), zero where boxes are not refined."""
    probability, deltas = torch.empty(len(boxes)), torch.zeros(boxes.shape)
    for first in range(0, len(boxes), BOXES_AT_ONCE):
        part = slice(first, first + BOXES_AT_ONCE)
        items = np.zeros(len(boxes[part]), np.int64)
        logits, found = member.net.score(features, items, boxes[part])
        probability[part] = logits.softmax(1)[:, 1].cpu()
        if member.provenance.settings.dfps.regression:
            deltas[part] = found.cpu()
    return probability, deltas


def _segment(
    passes: Sequence[Pass],
    features: Iterable[Features],
    boxes: Boxes,
    image_shape: tuple[int, ...],
    shape: tuple[int, ...],
) -> list[CroppedMask]:
    """The mask of every box, where the passes' mean probability is above 0.5, within `shape`.

    Summed is tanh(logit / 2) = 2 (probability - 1/2), whose sign is exact near 1/2 too.
    """
    snap = passes[0].member.provenance.settings.sr.snap
    size = np.array(image_shape)
    lows, highs = sr_corners(boxes, tuple(size), snap)
    sums = [torch.zeros(tuple(high - low)) for low, high in zip(lows, highs, strict=True)]
    for one, seen in zip(passes, features, strict=True):
        axes = list(one.mirror)
        for low, high, total in zip(lows, highs, sums, strict=True):
            near, far = low.copy(), high.copy()
            near[axes], far[axes] = (size - high)[axes], (size - low)[axes]
            total += (one.member.net.sr(seen, 0, near, far) / 2).tanh().flip(axes).cpu()
    return [crop((total > 0).numpy(), low, shape) for total, low in zip(sums, lows, strict=True)]


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
