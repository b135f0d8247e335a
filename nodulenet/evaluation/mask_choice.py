"""The nodules' own masks, and the detection mask that each of them takes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.files import InputError
from nodulenet.masks import NO_MASK, CroppedMask, mask_iou


def nodule_masks(labels: NDArray, count: int, name: str = "labels") -> list[CroppedMask]:
    """The masks of the nodules 1 .. `count` of an array of labels (z, y, x), each at its box.

    A nodule without a voxel has an empty mask. Raises `InputError` for a label above `count`.
    """
    boxes = ndimage.find_objects(labels)
    if len(boxes) > count:
        raise InputError(f"{name}: label {len(boxes)} in a scan of {count} nodule(s)")
    boxes += [None] * (count - len(boxes))
    return [
        NO_MASK
        if box is None
        else CroppedMask(labels[box] == label, (box[0].start, box[1].start, box[2].start))
        for label, box in enumerate(boxes, 1)
    ]


def best_mask(nodule: CroppedMask, masks: Mapping[int, CroppedMask]) -> int | None:
    """The row of the detection mask of best Dice, the first of equals; None if none overlaps."""
    best, most = None, 0.0
    for row, cropped in masks.items():
        iou = mask_iou(cropped, nodule)
        if iou > most:
            best, most = row, iou
    return best


def check_masks(
    masks: Mapping[int, CroppedMask], shape: tuple[int, ...], name: str = "masks"
) -> None:
    """Raise `InputError` for a mask that leaves the volume of `shape`."""
    for row, cropped in masks.items():
        low = np.array(cropped.offset)
        if (low < 0).any() or (low + cropped.mask.shape > shape).any():
            raise InputError(f"{name}: the mask of row {row} leaves the volume")
