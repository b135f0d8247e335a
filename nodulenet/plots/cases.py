"""Nodules for the gallery: which to show, and the cuts through them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.evaluation.inputs import ScoredScan, read_labels
from nodulenet.imaging.store import open_scan
from nodulenet.imaging.volume import Volume
from nodulenet.inference.masks import CroppedMask

LEAST_HALF_SIDE = 18


@dataclass(frozen=True, eq=False)
class Case:
    """A cube around one nodule: grey values, truth and prediction (z, y, x), and what it shows.

    Axes run towards the patient's left, back and head, whatever the scan's own directions.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    title: str


def choose(scores: pd.DataFrame, count: int) -> dict[str, pd.DataFrame]:
    """Rows of segmentation.csv to show: best and worst found, and missed, `count` of each.

    No nodule is shown twice; the missed ones come by falling diameter.
    """
    found = scores[scores["found"] == 1].sort_values("dice", ascending=False, kind="stable")
    best = min(count, math.ceil(len(found) / 2))
    worst = min(count, len(found) - best)
    missed = scores[scores["found"] == 0].sort_values("diameter_mm", ascending=False, kind="stable")
    return {
        "best": found.head(best),
        "worst": found.tail(worst).iloc[::-1],
        "missed": missed.head(count),
    }


def cut_case(
    scan: ScoredScan,
    nodule: Mapping[Any, Any],
    centre_mm: NDArray[np.float64],
    mask: CroppedMask | None,
    probability: float | None,
) -> Case:
    """Cut the cube around a nodule at `centre_mm` (LPS); beyond the volume it is black."""
    array, affine, _ = open_scan(scan.volume, scan.record)
    centre = np.round(Volume(array, affine).to_voxel(centre_mm)).astype(int)
    spacing = float(np.linalg.norm(affine[:3, :3], axis=0).mean())
    half = max(LEAST_HALF_SIDE, math.ceil(0.9 * nodule["diameter_mm"] / spacing))
    low = centre - half
    found = np.zeros((2 * half + 1,) * 3, bool)
    if mask is not None:
        found = window(mask.mask, low - mask.offset, 2 * half + 1)
    image = window(array, low, 2 * half + 1)
    truth = window(read_labels(scan), low, 2 * half + 1) == nodule["label"]
    title = f"…{scan.series_uid[-10:]}  nodule {nodule['label']}  {nodule['diameter_mm']:.0f} mm"
    title += (
        "\nmissed" if probability is None else f"\np {probability:.2f}  Dice {nodule['dice']:.2f}"
    )
    image, truth, found = (towards_lps(part, affine) for part in (image, truth, found))
    return Case(image, truth, found, title)


def window(array: NDArray, low: NDArray[np.int64], side: int) -> NDArray:
    """Cube of `side` voxels of an array (z, y, x) from index `low` on, zero beyond the array."""
    out = np.zeros((side,) * 3, array.dtype)
    start, end = np.maximum(low, 0), np.minimum(low + side, array.shape)
    if (start < end).all():
        inside = tuple(slice(a, b) for a, b in zip(start - low, end - low, strict=True))
        out[inside] = array[tuple(slice(a, b) for a, b in zip(start, end, strict=True))]
    return out


def towards_lps(array: NDArray, affine: NDArray[np.float64]) -> NDArray:
    """Flip the axes of (z, y, x) that run against the world's."""
    against = [axis for axis in range(3) if affine[2 - axis, axis] < 0]
    return np.flip(array, tuple(against))


def cuts(case: Case) -> list[tuple[NDArray, NDArray, NDArray]]:
    """Axial, coronal and sagittal cut (image, truth, prediction), each where the nodule is largest.

    A nodule without a voxel is cut through the middle of the cube.
    """
    shown = case.truth if case.truth.any() else case.prediction
    middle = case.image.shape[0] // 2
    planes = []
    for axis in range(3):
        area = shown.sum(axis=tuple(other for other in range(3) if other != axis))
        at = int(area.argmax()) if area.any() else middle
        parts = (case.image, case.truth, case.prediction)
        image, truth, prediction = (np.take(part, at, axis) for part in parts)
        planes.append((image, truth, prediction))
    return planes
