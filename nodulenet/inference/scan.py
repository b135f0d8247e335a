"""Prediction of one scan: candidates, their second opinion and their masks, in voxels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nodulenet.boxes import nms
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.masks import CroppedMask, crop, suppress_masks
from nodulenet.model.backbone import Features
from nodulenet.model.crops import sr_corners
from nodulenet.model.device import mixed_precision
from nodulenet.model.network import NoduleNet, normalise
from nodulenet.model.objective import candidates, decoded
from nodulenet.model.settings import DfpsSettings, SrSettings

SIZE_MULTIPLE = 16
BOXES_AT_ONCE = 256


@dataclass(frozen=True)
class InferenceSettings:
    """Thresholds of the prediction of a scan.

    pad_value is a grey value of the input. tile: None for the whole scan at once, or the side of
    overlapping tiles in voxels, a multiple of 16. halo: voxels of a tile beyond its core on each
    side, whose candidates are left to its neighbours; a multiple of 16, below half of the tile.
    """

    ncs_threshold: float = 0.5
    nms_iou: float = 0.1
    mask_iou: float = 0.3
    pad_value: int = 170
    tile: int | None = None
    halo: int = 64


@dataclass(frozen=True, eq=False)
class ScanPrediction:
    """Candidates of one scan, one row a NCS candidate by falling NCS probability.

    ncs_boxes, dfps_boxes: (N, 6) voxels; probabilities: (N,); kept: (N,) whether the decoded
    box survived the second NMS; masks: row -> cropped mask. The dfps fields are None for a
    network without that branch.
    """

    ncs_boxes: NDArray[np.float32]
    ncs_probability: NDArray[np.float32]
    dfps_boxes: NDArray[np.float32] | None
    dfps_probability: NDArray[np.float32] | None
    kept: NDArray[np.bool_]
    masks: dict[int, CroppedMask]


@torch.inference_mode()
def predict_scan(
    net: NoduleNet,
    volume: NDArray[np.uint8],
    branches: Sequence[str],
    settings: InferenceSettings,
    dfps: DfpsSettings,
    sr: SrSettings,
    amp: bool,
) -> ScanPrediction:
    """Predict a preprocessed volume (z, y, x) with a network in evaluation mode."""
    device = next(net.parameters()).device
    image = torch.from_numpy(padded(volume, settings.pad_value))[None, None].to(device)
    with mixed_precision(device, amp):
        features, logits, deltas = net(normalise(image))
        anchors = anchor_grid(tuple(n // STRIDE for n in image.shape[2:]))
        boxes, probability = candidates(
            logits[0].sigmoid().cpu().numpy(),
            deltas[0].cpu().numpy(),
            anchors,
            volume.shape,
            settings.ncs_threshold,
            settings.nms_iou,
        )
        if "dfps" not in branches:
            return ScanPrediction(boxes, probability, None, None, np.ones(len(boxes), bool), {})
        second, refined = suppress_false_positives(net, features, boxes, volume.shape, dfps)
        order = nms(refined, second, settings.nms_iou)
        kept = np.zeros(len(boxes), bool)
        kept[order] = True
        masks: dict[int, CroppedMask] = {}
        if "sr" in branches:
            found = segment(net, features, refined[order], volume.shape, sr)
            masks = suppress_masks(
                {int(row): mask for row, mask in zip(order, found, strict=True)}, settings.mask_iou
            )
    return ScanPrediction(boxes, probability, refined, second, kept, masks)


def padded(volume: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """The volume, padded at its far ends to multiples of 16 voxels."""
    far = [(0, -n % SIZE_MULTIPLE) for n in volume.shape]
    return np.pad(volume, far, constant_values=value)


def suppress_false_positives(
    net: NoduleNet,
    features: Features,
    boxes: NDArray[np.float32],
    shape: tuple[int, ...],
    settings: DfpsSettings,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nodule probabilities (N,) and decoded boxes (N, 6) of candidate boxes (N, 6)."""
    probability, second = np.empty(len(boxes), np.float32), boxes.copy()
    for first in range(0, len(boxes), BOXES_AT_ONCE):
        part = slice(first, first + BOXES_AT_ONCE)
        items = np.zeros(len(boxes[part]), np.int64)
        logits, deltas = net.score(features, items, boxes[part])
        probability[part] = logits.softmax(1)[:, 1].cpu().numpy()
        if settings.regression:
            second[part] = decoded(deltas.cpu().numpy(), boxes[part], shape)
    return probability, second


def segment(
    net: NoduleNet,
    features: Features,
    boxes: NDArray[np.float32],
    shape: tuple[int, int, int],
    settings: SrSettings,
) -> list[CroppedMask]:
    """The mask of every box (probability > 0.5), cut at the unpadded volume's `shape`."""
    masks = []
    image_shape = tuple(features.image.shape[2:])
    for low, high in zip(*sr_corners(boxes, image_shape, settings.snap), strict=True):
        mask = (net.sr(features, 0, low, high) > 0).cpu().numpy()
        masks.append(crop(mask, low, shape))
    return masks
