"""Prediction of one scan by several networks, or by mirror images of it, as by one network.

All runs (a network and a mirror image each) look at the same anchors. Their candidate
probabilities are averaged anchor by anchor, one suppression runs over what is left, and every
run then gives its second opinion and its mask of the same candidates, which are averaged again.
Boxes are averaged with the probabilities as weights: a run that sees no nodule at a place was
never taught a box there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.boxes import nms
from nodulenet.boxes.anchors import ANCHOR_SIDES, STRIDE, anchor_grid
from nodulenet.files import InputError
from nodulenet.inference.scan import BOXES_AT_ONCE, InferenceSettings, ScanPrediction, padded
from nodulenet.masks import CroppedMask, crop, suppress_masks
from nodulenet.model.backbone import Features
from nodulenet.model.crops import sr_corners
from nodulenet.model.device import choose_device, mixed_precision, to_device
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.objective import candidates, decoded
from nodulenet.model.settings import DfpsSettings, SrSettings
from nodulenet.model.weights import Provenance, load_weights

Mirror = tuple[int, ...]
Boxes = NDArray[np.float32]
UNMIRRORED: tuple[Mirror, ...] = ((),)
MIRRORS = tuple(axes for n in range(4) for axes in combinations(range(3), n))
"""The axes (z, y, x) that each of the eight mirror images turns round."""

SMALLEST = 1e-6  # weight of a box: none may be divided by zero


@dataclass(frozen=True, eq=False)
class Member:
    """A network of an ensemble and what is known of it."""

    net: NoduleNet
    provenance: Provenance
    path: Path


@dataclass(frozen=True, eq=False)
class _Run:
    """A network and a mirror image of the scan."""

    member: Member
    mirror: Mirror


def load_members(paths: Sequence[Path], device: str) -> list[Member]:
    """Read the networks of an ensemble onto a device, ready to predict.

    Raises `InputError` for a file that is no weights file and for one whose preprocessing,
    branches, margin or snapping of boxes are not those of the first.
    """
    place = choose_device(device)
    members = []
    for path in paths:
        net, provenance = load_weights(path)
        to_device(net.eval(), place)
        members.append(Member(net, provenance, path))
    for other in members[1:]:
        first, own = _common(members[0]), _common(other)
        for what in first:
            if own[what] != first[what]:
                raise InputError(f"{other.path}: trained with another {what} than {paths[0]}")
    return members


def _common(member: Member) -> dict[str, object]:
    """What the members of an ensemble must share."""
    provenance = member.provenance
    return {
        "preprocessing": dict(provenance.preprocess),
        "choice of branches": tuple(provenance.branches),
        "margin of boxes": provenance.settings["targets"]["margin_total"],
        "snapping of boxes": SrSettings(**provenance.settings["sr"]).snap,
    }


@torch.inference_mode()
def predict_ensemble(
    members: Sequence[Member],
    volume: NDArray[np.uint8],
    settings: InferenceSettings,
    *,
    mirrors: Sequence[Mirror] = UNMIRRORED,
    amp: bool = True,
    least: float = 0.0,
    step: Callable[[], object] = lambda: None,
) -> ScanPrediction:
    """Predict a preprocessed volume (z, y, x) by the mean of all members and mirror images.

    least: the mean of both probabilities from which a candidate is segmented. step: called after
    each of the `passes` through a network. One member without mirrors and with least = 0 predicts
    what `predict_scan` does.
    """
    runs = [_Run(member, mirror) for member in members for mirror in mirrors]
    branches = members[0].provenance.branches
    device = next(members[0].net.parameters()).device
    image = torch.from_numpy(padded(volume, settings.pad_value))[None, None].to(device)
    with mixed_precision(device, amp):
        boxes, first, features = _screen(runs, image, volume.shape, settings, step)
        if "dfps" not in branches:
            return ScanPrediction(boxes, first, None, None, np.ones(len(boxes), bool), {})
        second, refined = _score(runs, features, boxes, image.shape[2:], volume.shape)
        order = nms(refined, second, settings.nms_iou)
        kept = np.zeros(len(boxes), bool)
        kept[order] = True
        masks: dict[int, CroppedMask] = {}
        rows = order[(first[order] + second[order]) / 2 >= least]
        if "sr" in branches and len(rows):
            found = _segment(runs, image, features, refined[rows], volume.shape, step)
            masks = suppress_masks(dict(zip(rows.tolist(), found, strict=True)), settings.mask_iou)
    return ScanPrediction(boxes, first, refined, second, kept, masks)


def passes(members: Sequence[Member], mirrors: Sequence[Mirror]) -> int:
    """How often `predict_ensemble` runs a backbone at most. Features of one run alone are kept."""
    runs = len(members) * len(mirrors)
    again = runs > 1 and "sr" in members[0].provenance.branches
    return runs * (1 + again)


def _screen(
    runs: Sequence[_Run],
    image: Tensor,
    shape: tuple[int, ...],
    settings: InferenceSettings,
    step: Callable[[], object],
) -> tuple[Boxes, NDArray[np.float32], list[Features]]:
    """Candidates of the averaged maps, and of each run the features that DFPS looks at."""
    grid = [n // STRIDE for n in image.shape[2:]]
    logits_shape = (*grid, len(ANCHOR_SIDES))
    total = torch.zeros(logits_shape, device=image.device)
    weights = torch.zeros_like(total)
    weighted = torch.zeros((*logits_shape, 6), device=image.device)
    features = []
    for run in runs:
        seen, logits, deltas = run.member.net(normalise(_mirrored(image, run)))
        probability = logits[0].sigmoid().view(logits_shape).flip(run.mirror)
        deltas = deltas[0].view(weighted.shape).flip(run.mirror)
        deltas[..., list(run.mirror)] *= -1
        weight = probability.clamp_min(SMALLEST)
        total += probability
        weights += weight
        weighted += weight[..., None] * deltas
        features.append(seen if len(runs) == 1 else _for_score(seen, run.member.net))
        step()
    boxes, probability = candidates(
        (total / len(runs)).flatten().cpu().numpy(),
        (weighted / weights[..., None]).view(-1, 6).cpu().numpy(),
        anchor_grid(tuple(grid)),
        shape,
        settings.ncs_threshold,
        settings.nms_iou,
    )
    return boxes, probability, features


def _mirrored(image: Tensor, run: _Run) -> Tensor:
    """The image (1, 1, z, y, x) as a run sees it."""
    return image.flip([axis + 2 for axis in run.mirror])


def _for_score(features: Features, net: NoduleNet) -> Features:
    """Without the maps that false positive suppression does not look at: those of many runs
    would not fit into memory.
    """
    nothing = features.image[:0, :0]
    others = [name for name in features._fields if name != net.dfps_features]
    return features._replace(**dict.fromkeys(others, nothing))


def _score(
    runs: Sequence[_Run],
    features: Sequence[Features],
    boxes: Boxes,
    image_shape: Sequence[int],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.float32], Boxes]:
    """Averaged nodule probabilities (N,) and decoded boxes (N, 6) of candidates (N, 6)."""
    total, weights = (np.zeros(len(boxes), np.float32) for _ in range(2))
    weighted = np.zeros_like(boxes)
    for run, seen in zip(runs, features, strict=True):
        axes = list(run.mirror)
        mirrored = boxes.copy()
        mirrored[:, axes] = np.array(image_shape, np.float32)[axes] - 1 - boxes[:, axes]
        probability, deltas = _score_run(run.member, seen, mirrored)
        deltas[:, axes] *= -1
        weight = np.maximum(probability, SMALLEST)
        total += probability
        weights += weight
        weighted += weight[:, None] * deltas
    return total / np.float32(len(runs)), decoded(weighted / weights[:, None], boxes, shape)


def _score_run(
    member: Member, features: Features, boxes: Boxes
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One run's probabilities (N,) and deltas (N, 6), zero where boxes are not refined."""
    probability, deltas = np.empty(len(boxes), np.float32), np.zeros_like(boxes)
    refine = DfpsSettings(**member.provenance.settings["dfps"]).regression
    for first in range(0, len(boxes), BOXES_AT_ONCE):
        part = slice(first, first + BOXES_AT_ONCE)
        items = np.zeros(len(boxes[part]), np.int64)
        logits, found = member.net.score(features, items, boxes[part])
        probability[part] = logits.softmax(1)[:, 1].cpu().numpy()
        if refine:
            deltas[part] = found.cpu().numpy()
    return probability, deltas


def _segment(
    runs: Sequence[_Run],
    image: Tensor,
    features: Sequence[Features],
    boxes: Boxes,
    shape: tuple[int, int, int],
    step: Callable[[], object],
) -> list[CroppedMask]:
    """The mask of every box: the mean of the runs' probabilities above 0.5."""
    snap = SrSettings(**runs[0].member.provenance.settings["sr"]).snap
    size = np.array(image.shape[2:])
    lows, highs = sr_corners(boxes, tuple(size), snap)
    sums = [torch.zeros(tuple(high - low)) for low, high in zip(lows, highs, strict=True)]
    for run, kept in zip(runs, features, strict=True):
        axes = list(run.mirror)
        seen = kept
        if len(runs) > 1:
            seen = run.member.net.backbone(normalise(_mirrored(image, run)))
            step()
        for low, high, total in zip(lows, highs, sums, strict=True):
            near, far = low.copy(), high.copy()
            near[axes], far[axes] = (size - high)[axes], (size - low)[axes]
            total += run.member.net.sr(seen, 0, near, far).sigmoid().flip(axes).cpu()
    half = len(runs) / 2
    return [crop((total > half).numpy(), low, shape) for total, low in zip(sums, lows, strict=True)]
