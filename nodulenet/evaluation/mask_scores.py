"""How well one mask covers another."""

import numpy as np
from numpy.typing import NDArray

from nodulenet.evaluation.surface import surface_distance
from nodulenet.masks import CroppedMask, mask_iou

SCORES = (
    *("dice", "iou", "surface_mean_mm", "surface_p95_mm"),
    *("volume_error_mm3", "volume_error_relative"),
)


def compare_masks(mask: CroppedMask, reference: CroppedMask, voxel_mm: NDArray) -> dict[str, float]:
    """`SCORES` of a mask against a reference in one grid of voxels (z, y, x) of `voxel_mm`.

    Dice and IoU: 0 where either or both have no voxel, as for a missed nodule. surface_mean_mm,
    surface_p95_mm: as `surface_distance`, NaN there. volume_error: the mask's volume less the
    reference's, in mm3 and as a share of the reference's (NaN if that has no voxel); so a missed
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
