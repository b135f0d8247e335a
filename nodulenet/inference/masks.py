"""Masks cropped to their box: suppression among them, and the files that hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError, replacing


@dataclass(frozen=True, eq=False)
class CroppedMask:
    """A mask (d, h, w) and the voxel (z, y, x) of the grid that its first voxel is."""

    mask: NDArray[np.bool_]
    offset: NDArray[np.int64]


def tight(mask: NDArray[np.bool_], offset: NDArray[np.int64]) -> CroppedMask:
    """Crop a mask at `offset` to its own box; an empty one gets the shape (0, 0, 0)."""
    if not mask.any():
        return CroppedMask(np.zeros((0, 0, 0), bool), np.asarray(offset))
    found = np.argwhere(mask)
    low, high = found.min(0), found.max(0) + 1
    inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return CroppedMask(mask[inside], offset + low)


def mask_iou(a: CroppedMask, b: CroppedMask) -> float:
    """Intersection over union of two cropped masks of one grid; 0 for two empty ones."""
    low = np.maximum(a.offset, b.offset)
    high = np.minimum(a.offset + a.mask.shape, b.offset + b.mask.shape)
    if (high <= low).any():
        return 0.0
    common = np.count_nonzero(window(a, low, high) & window(b, low, high))
    return common / (np.count_nonzero(a.mask) + np.count_nonzero(b.mask) - common)


def window(m: CroppedMask, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The part of a cropped mask between two voxels of the grid."""
    low, high = low - m.offset, high - m.offset
    return m.mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]


def suppress_masks(masks: Mapping[int, CroppedMask], threshold: float) -> dict[int, CroppedMask]:
    """Greedy suppression in the order given: a mask falls if its IoU with a kept one is above
    the threshold. Empty masks fall too."""
    kept: dict[int, CroppedMask] = {}
    for row, candidate in masks.items():
        if candidate.mask.size and all(mask_iou(candidate, k) <= threshold for k in kept.values()):
            kept[row] = candidate
    return kept


def write_masks(masks: Mapping[int, CroppedMask], path: Path) -> None:
    """Write cropped masks with the number that each has in predictions.csv.

    Arrays: rows (n,), offsets (n, 3), shapes (n, 3), bits: the masks' packed bits, one after
    the other, each of ceil(voxels / 8) bytes.
    """
    bits = [np.packbits(m.mask.ravel()) for m in masks.values()]
    with replacing(path) as temporary:
        np.savez(
            temporary,
            rows=np.array(list(masks), np.int64),
            offsets=np.array([m.offset for m in masks.values()], np.int64).reshape(-1, 3),
            shapes=np.array([m.mask.shape for m in masks.values()], np.int64).reshape(-1, 3),
            bits=np.concatenate([np.zeros(0, np.uint8), *bits]),
        )


def read_masks(path: Path) -> dict[int, CroppedMask]:
    """Read what `write_masks` wrote. Raises `InputError` naming the file and the fault."""
    try:
        with np.load(path) as content:
            rows, offsets = content["rows"], content["offsets"]
            shapes, bits = content["shapes"], content["bits"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{path}: not a readable mask file: {error}") from error
    sizes = shapes.prod(1)
    ends = np.cumsum((sizes + 7) // 8)
    if len(bits) != (ends[-1] if len(ends) else 0):
        raise InputError(f"{path}: {len(bits)} bytes of masks, the shapes ask for {ends[-1:]}")
    parts = np.split(bits, ends[:-1])
    return {
        int(row): CroppedMask(np.unpackbits(part, count=size).astype(bool).reshape(shape), offset)
        for row, part, size, shape, offset in zip(rows, parts, sizes, shapes, offsets, strict=False)
    }
