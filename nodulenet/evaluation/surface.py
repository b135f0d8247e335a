"""Distances between the surfaces of two masks, in mm."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from nodulenet.masks import CroppedMask

PERCENTILE = 95


class SurfaceDistance(NamedTuple):
    """Symmetric distance of two surfaces in mm: mean, and 95th percentile."""

    mean: float
    p95: float


def surface_distance(a: CroppedMask, b: CroppedMask, voxel_mm: NDArray) -> SurfaceDistance:
    """Distance between the surfaces of two masks of one grid; NaN where one has no voxel.

    A surface voxel is a voxel of the mask with a face neighbour outside of it; of each the
    distance between its centre and the nearest centre of the other surface is taken, exactly.
    mean: over the voxels of both surfaces together (the average symmetric surface distance of
    Heimann et al., Comparison and evaluation of methods for liver segmentation from CT datasets,
    IEEE Trans Med Imaging 2009). p95: the larger of the two directed 95th percentiles (HD95 of
    Maier-Hein et al., Metrics reloaded, Nat Methods 2024). voxel_mm: voxel size (z, y, x).
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
