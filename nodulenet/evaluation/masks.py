"""Agreement of two masks: Dice, IoU, surface distances, volume error."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from nodulenet.masks import CroppedMask, mask_iou

SCORES = (
    *("dice", "iou", "surface_mean_mm", "surface_p95_mm"),
    *("volume_error_mm3", "volume_error_relative"),
)
DISTANCES = ("surface_mean_mm", "surface_p95_mm")
ABSOLUTE = "absolute_volume_error_relative"
PERCENTILE = 95


def compare_masks(mask: CroppedMask, reference: CroppedMask, voxel_mm: NDArray) -> dict[str, float]:
    """`SCORES` of a mask against a reference in one grid of voxels (z, y, x) of `voxel_mm`.

    Dice and IoU: 0 where either or both have no voxel, as for a missed nodule. surface_mean_mm,
    surface_p95_mm: as `surface_distance`, NaN there. volume_error: the mask's volume minus the
    reference's, in mm3 and relative to the reference's (NaN if that has no voxel); so a missed
    nodule has -1.
    """
    iou = mask_iou(mask, reference)
    distance = surface_distance(mask, reference, voxel_mm)
    voxels, wanted = np.count_nonzero(mask.mask), np.count_nonzero(reference.mask)
    values = (
        2 * iou / (1 + iou),
        iou,
        *distance,
        (voxels - wanted) * float(np.prod(voxel_mm)),
        (voxels - wanted) / wanted if wanted else np.nan,
    )
    return dict(zip(SCORES, values, strict=True))


def best_mask(nodule: CroppedMask, masks: Mapping[int, CroppedMask]) -> int | None:
    """The row of the detection mask with the best Dice, the first of equal ones; None if none
    overlaps.
    """
    best, most = None, 0.0
    for row, cropped in masks.items():
        iou = mask_iou(cropped, nodule)
        if iou > most:
            best, most = row, iou
    return best


class SurfaceDistance(NamedTuple):
    """Symmetric distance of two surfaces in mm: mean, and 95th percentile."""

    mean: float
    p95: float


def surface_distance(a: CroppedMask, b: CroppedMask, voxel_mm: NDArray) -> SurfaceDistance:
    """Distance between the surfaces of two masks of one grid; NaN where one has no voxel.

    A surface voxel is a voxel of the mask with a face neighbour outside of it; for each, the exact
    distance from its centre to the nearest centre of the other surface is used. mean: over the
    voxels of both surfaces together (the average symmetric surface distance of Heimann et al.,
    Comparison and evaluation of methods for liver segmentation from CT datasets, IEEE Trans Med
    Imaging 2009). p95: the larger of the two directed 95th percentiles (HD95 of Maier-Hein et al.,
    Metrics reloaded, Nat Methods 2024). voxel_mm: voxel size (z, y, x).
    """
    first, second = surface_points(a, voxel_mm), surface_points(b, voxel_mm)
    if not (len(first) and len(second)):
        return SurfaceDistance(np.nan, np.nan)
    there = cKDTree(second).query(first)[0]
    back = cKDTree(first).query(second)[0]
    p95 = max(np.percentile(there, PERCENTILE), np.percentile(back, PERCENTILE))
    return SurfaceDistance(float(np.concatenate([there, back]).mean()), float(p95))


def surface_points(cropped: CroppedMask, voxel_mm: NDArray) -> NDArray[np.float64]:
    """Centres (n, 3) of a mask's surface voxels in mm, as (z, y, x) along the grid's axes."""
    inside = ndimage.binary_erosion(cropped.mask)
    return (np.argwhere(cropped.mask & ~inside) + cropped.offset) * np.asarray(voxel_mm, float)


def summarize_masks(table: pd.DataFrame) -> dict[str, Any]:
    """Means over the rows: `{score}_all` with missed nodules as 0, `{score}_found` without them.

    table: `SCORES` and found. The mean absolute relative volume error is added.
    Distances are of the found nodules only, since a missed one has none. Undefined values are
    excluded from a mean, which is None if none remain.
    """
    table = _with_absolute(table)
    found = table[table["found"] == 1]
    content: dict[str, Any] = {"nodules": len(table), "found": len(found)}
    for part, rows in (("all", table), ("found", found)):
        for score in (*SCORES, ABSOLUTE):
            if part == "found" or score not in DISTANCES:
                content[f"{score}_{part}"] = mean_of(rows[score])
    return content


def mean_by_nodule(table: pd.DataFrame) -> pd.DataFrame:
    """One row per nodule, the mean of its rows, so that each nodule counts once."""
    table = _with_absolute(table)
    columns = [name for name in (*SCORES, ABSOLUTE, "found") if name in table]
    return table.groupby(["series_uid", "label"], sort=False)[columns].mean().reset_index()


def _with_absolute(table: pd.DataFrame) -> pd.DataFrame:
    if ABSOLUTE in table:
        return table
    return table.assign(**{ABSOLUTE: table["volume_error_relative"].abs()})


def mean_of(values: pd.Series) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)
