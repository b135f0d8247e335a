"""From the candidates of a network to findings: selection, position and size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.imaging import Volume, restore_mask
from nodulenet.imaging.orientation import standard
from nodulenet.masks import CroppedMask, overlap

if TYPE_CHECKING:  # needs torch, which measuring does not
    from nodulenet.inference.predictor import ScanPrediction


@dataclass(frozen=True, eq=False)
class Finding:
    """A nodule found by the network, numbered in descending order of probability.

    position: LPS (x, y, z) in mm of the centre of its box; diameter_mm: the box's largest side.
    mask: in the grid of the scan, None if the network gives none. Of the mask: volume_mm3, the
    diameter of a sphere of that volume, the longest line in one axial slice, the mean HU.
    """

    number: int
    position: NDArray[np.float64]
    diameter_mm: float
    probability: float
    ncs_probability: float
    dfps_probability: float | None
    mask: CroppedMask | None = None
    volume_mm3: float | None = None
    equivalent_diameter_mm: float | None = None
    long_axis_mm: float | None = None
    mean_hu: float | None = None


def find_findings(
    prediction: "ScanPrediction",
    grid: Volume,
    scan: Volume,
    margin_total: float,
    least: float,
) -> tuple[list[Finding], list[str]]:
    """The findings of a scan in descending order of probability, and the notes on them.

    A finding is a candidate whose decoded box survived the second suppression and whose
    probability, the mean of both branches, is at least `least`. One whose mask was suppressed
    because it overlaps that of a more probable one is not a finding. grid: the preprocessed volume
    that was predicted; scan: the CT in HU in whose grid the masks are restored. margin_total:
    voxels by which the network's boxes are larger than the nodules.
    """
    first, second = prediction.ncs_probability, prediction.dfps_probability
    probability = first if second is None else (first + second) / 2
    boxes = prediction.ncs_boxes if prediction.dfps_boxes is None else prediction.dfps_boxes
    rows = np.flatnonzero(prediction.kept & (probability >= least))
    rows = rows[np.argsort(-probability[rows], kind="stable")]
    alone = [row for row in rows.tolist() if not is_duplicate(row, boxes[row], prediction.masks)]
    notes = []
    if len(alone) < len(rows):
        notes.append(
            f"{len(rows) - len(alone)} further candidates have a mask that overlaps a finding's:"
            " the same place, not listed again"
        )
    found = [
        Finding(
            number=number,
            position=grid.to_world(boxes[row, :3]),
            diameter_mm=float((np.maximum(boxes[row, 3:] - margin_total, 1) * grid.spacing).max()),
            probability=float(probability[row]),
            ncs_probability=float(first[row]),
            dfps_probability=None if second is None else float(second[row]),
            mask=restored(prediction.masks.get(row), grid, scan),
        )
        for number, row in enumerate(alone, 1)
    ]
    labels = paint_findings(found, scan.array.shape)
    measured = [measure(finding, labels, scan) for finding in found]
    if prediction.masks:
        notes += [f"finding {f.number} has no mask" for f in measured if f.mask is None]
    if below := int((prediction.kept & (probability < least)).sum()):
        notes.append(f"candidates below the threshold, not listed: {below}")
    return measured, notes


def is_duplicate(row: int, box: NDArray[np.float32], masks: dict[int, CroppedMask]) -> bool:
    """Whether a candidate without a mask lies, with its box (6,), on another one's mask."""
    if row in masks:
        return False
    low = np.ceil(box[:3] - box[3:] / 2).astype(int)
    high = np.floor(box[:3] + box[3:] / 2).astype(int) + 1
    for other in masks.values():
        _, there = overlap(low - np.array(other.offset), high - low, other.mask.shape)
        if other.mask[there].any():
            return True
    return False


def restored(mask: CroppedMask | None, grid: Volume, scan: Volume) -> CroppedMask | None:
    """A mask of the preprocessed grid in the scan's grid; None if no voxel is left."""
    if mask is None:
        return None
    own = restore_mask(mask, grid.affine, scan.affine, scan.array.shape)
    return own if own.mask.size else None


def paint_findings(findings: Sequence[Finding], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Labels (z, y, x): the finding's number.

    A voxel that several share is that of the first, the more probable one.
    """
    labels = np.zeros(shape, np.uint16)
    for finding in reversed(findings):
        if finding.mask is not None:
            labels[finding.mask.box][finding.mask.mask] = finding.number
    return labels


def measure(finding: Finding, labels: NDArray[np.uint16], scan: Volume) -> Finding:
    """The finding with the mask of its own voxels alone, measured in the scan (HU)."""
    if finding.mask is None:
        return finding
    box = finding.mask.box
    own = labels[box] == finding.number
    if not own.any():
        return replace(finding, mask=None)
    volume = float(own.sum() * scan.voxel_mm3)
    return replace(
        finding,
        mask=CroppedMask(own, finding.mask.offset),
        volume_mm3=volume,
        equivalent_diameter_mm=(6 * volume / np.pi) ** (1 / 3),
        long_axis_mm=long_axis(own, scan.affine),
        mean_hu=float(scan.array[box][own].mean(dtype=np.float64)),
    )


def long_axis(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> float:
    """The longest line in mm between two corners of a mask's voxels in one axial slice."""
    turned, _ = standard(Volume(mask, affine))
    longest = 0.0
    for plane in turned.array:
        if plane.any():
            y, x = np.nonzero(plane)
            corners = [np.stack([y + a, x + b], 1) for a in (0, 1) for b in (0, 1)]
            points = np.unique(np.concatenate(corners), axis=0) * turned.spacing[1:]
            hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(float)
            apart = np.linalg.norm(hull[:, None] - hull[None], axis=2)
            longest = max(longest, float(apart.max()))
    return longest
