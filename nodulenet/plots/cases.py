"""Nodules for the gallery: which to show, and the cuts through them."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.evaluation.truth import ScoredScan
from nodulenet.imaging.store import open_scan
from nodulenet.imaging.volume import Volume
from nodulenet.masks import CroppedMask

LEAST_HALF_SIDE = 18


@dataclass(frozen=True, eq=False)
class Place:
    """A place in a scan to cut out: centre (LPS, mm), what to reach to each side of it (mm), the
    nodule whose voxels are the truth (None: all nodules) and the mask that was predicted.
    """

    scan: ScoredScan
    centre_mm: NDArray[np.float64]
    half_mm: float
    label: int | None
    mask: CroppedMask | None


@dataclass(frozen=True, eq=False)
class Case:
    """A cube around one nodule: grey values, truth and prediction (z, y, x), the mean side of a
    voxel in mm, and what it shows.

    Axes run towards the patient's left, back and head, whatever the scan's own directions.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    voxel_mm: float
    title: str = ""


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


def cut_case(place: Place, title: str = "") -> Case:
    """Cut the cube around a place, of at least 18 voxels to each side; black beyond the volume."""
    array, affine, _ = open_scan(place.scan.volume, place.scan.record)
    grid = Volume(array, affine)
    centre = np.round(grid.to_voxel(place.centre_mm)).astype(np.int64)
    voxel_mm = float(grid.spacing.mean())
    half = max(LEAST_HALF_SIDE, math.ceil(place.half_mm / voxel_mm))
    low, side = centre - half, 2 * half + 1
    found = np.zeros((side,) * 3, bool)
    if place.mask is not None:
        found = window(place.mask.mask, low - place.mask.offset, side)
    image = window(array, low, side)
    labels = window(open_scan(place.scan.mask, place.scan.record)[0], low, side)
    truth = labels > 0 if place.label is None else labels == place.label
    image, truth, found = (towards_lps(part, affine) for part in (image, truth, found))
    return Case(image, truth, found, voxel_mm, title)


def window(array: NDArray, low: NDArray[np.int64], side: int) -> NDArray:
    """Cube of `side` voxels of an array (z, y, x) from index `low` on, zero beyond the array."""
    out = np.zeros((side,) * 3, array.dtype)
    start, end = np.maximum(low, 0), np.minimum(low + side, array.shape)
    if (start < end).all():
        inside = tuple(map(slice, start - low, end - low))
        out[inside] = array[tuple(map(slice, start, end))]
    return out


def towards_lps(array: NDArray, affine: NDArray[np.float64]) -> NDArray:
    """Flip the axes of (z, y, x) that run against the world's."""
    against = [axis for axis in range(3) if affine[2 - axis, axis] < 0]
    return np.flip(array, tuple(against))


def cuts(
    case: Case, through: NDArray[np.bool_] | None = None
) -> list[tuple[NDArray, NDArray, NDArray]]:
    """Axial, coronal and sagittal cut (image, truth, prediction), each where `through`, a mask of
    the cube, is largest: by default the truth or, where that has no voxel, the prediction.

    Without any voxel the cube is cut through its middle.
    """
    if through is None:
        through = case.truth if case.truth.any() else case.prediction
    middle = case.image.shape[0] // 2
    planes = []
    for axis in range(3):
        area = through.sum(axis=tuple(other for other in range(3) if other != axis))
        at = int(area.argmax()) if area.any() else middle
        parts = (case.image, case.truth, case.prediction)
        image, truth, prediction = (np.take(part, at, axis) for part in parts)
        planes.append((image, truth, prediction))
    return planes
