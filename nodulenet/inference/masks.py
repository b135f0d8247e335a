"""Masks cropped to their box: suppression among them, and the files that hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nodulenet.annotations.consensus import mask_iou
from nodulenet.files import InputError, own_artefact, replacing


@dataclass(frozen=True, eq=False)
class CroppedMask:
    """A mask (d, h, w) and the voxel (z, y, x) of the grid that its first voxel is."""

    mask: NDArray[np.bool_]
    offset: tuple[int, int, int]


def suppress_masks(masks: Mapping[int, CroppedMask], threshold: float) -> dict[int, CroppedMask]:
    """Greedy suppression in the order given: a mask falls if its IoU with a kept one is above
    the threshold. Empty masks fall too."""
    kept: dict[int, CroppedMask] = {}
    for row, candidate in masks.items():
        if candidate.mask.size and not any(
            mask_iou(candidate.mask, candidate.offset, k.mask, k.offset) > threshold
            for k in kept.values()
        ):
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
    """Read what `write_masks` wrote.

    Raises `CorruptArtefact` naming a file that is missing or damaged: its
    folder is to be set aside, since the workflow makes the folder again and no file of it alone.
    """
    with own_artefact(path, path.parent):
        return _unpacked(path)


def _unpacked(path: Path) -> dict[int, CroppedMask]:
    with np.load(path, allow_pickle=False) as content:
        rows, offsets = content["rows"], content["offsets"]
        shapes, bits = content["shapes"], content["bits"]
    sizes = shapes.prod(1)
    ends = np.cumsum((sizes + 7) // 8)
    if len(bits) != (ends[-1] if len(ends) else 0):
        raise InputError(f"{path}: {len(bits)} bytes of masks, the shapes ask for {ends[-1:]}")
    parts = np.split(bits, ends[:-1])
    return {
        int(row): CroppedMask(
            np.unpackbits(part, count=size).astype(bool).reshape(shape), tuple(offset.tolist())
        )
        for row, part, size, shape, offset in zip(rows, parts, sizes, shapes, offsets, strict=False)
    }
