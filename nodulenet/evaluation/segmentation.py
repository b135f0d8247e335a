"""How well the detections' masks cover the nodules, in the 1 mm grid."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.inference.masks import CroppedMask

COLUMNS = ("series_uid", "fold", "label", "diameter_mm", "dice", "iou", "found", "row")


def score_masks(
    labels: NDArray,
    count: int,
    masks: Mapping[int, CroppedMask],
    names: tuple[str, str] = ("labels", "masks"),
) -> pd.DataFrame:
    """Give each of the nodules 1 .. `count` the detection mask of best Dice (the first of equals).

    labels: (z, y, x) instance labels; masks: row -> mask in the same grid. Returns a row a
    nodule: label, dice, iou, found (Dice > 0), row of the detection (missing where not found). A
    nodule without a voxel in `labels` is missed. Raises `InputError` for a label above `count`
    and for a mask that leaves the volume; `names` are the two files.
    """
    truth = np.bincount(labels[labels > 0], minlength=count + 1)
    if len(truth) > count + 1:
        raise InputError(f"{names[0]}: label {len(truth) - 1} in a scan of {count} nodule(s)")
    dice, iou = np.zeros(count), np.zeros(count)
    best = np.zeros(count, int)
    for row, cropped in masks.items():
        low = np.array(cropped.offset)
        high = low + cropped.mask.shape
        if (low < 0).any() or (high > labels.shape).any():
            raise InputError(f"{names[1]}: the mask of row {row} leaves the volume")
        inside = labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        overlap = np.bincount(inside[cropped.mask], minlength=count + 1)[1:]
        both = truth[1:] + np.count_nonzero(cropped.mask)
        score = 2 * overlap / np.maximum(both, 1)
        better = score > dice
        dice[better], best[better] = score[better], row
        iou[better] = (overlap / np.maximum(both - overlap, 1))[better]
    rows = pd.array(best, dtype="Int64")
    rows[dice == 0] = pd.NA
    content = {"label": np.arange(1, count + 1), "dice": dice, "iou": iou}
    return pd.DataFrame(content | {"found": (dice > 0).astype(int), "row": rows})


def summarize_masks(table: pd.DataFrame) -> dict[str, Any]:
    """Mean Dice and IoU of every nodule (0 where missed) and of the found ones; None for none."""
    found = table[table["found"] == 1]
    content: dict[str, Any] = {"nodules": len(table), "found": len(found)}
    for part, rows in (("all", table), ("found", found)):
        for score in ("dice", "iou"):
            content[f"{score}_{part}"] = float(rows[score].mean()) if len(rows) else None
    return content
