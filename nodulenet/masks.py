"""Masks cropped to their box: crop, union, overlap, suppression, packed bits and their file.

A nodule is small and a scan is large, so that every mask is kept at its own box.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import own_artefact, replacing

Index = tuple[int, int, int]
Box = tuple[slice, ...]
PACKED = ("shapes", "offsets", "bits")


class CroppedMask(NamedTuple):
    """A mask (d, h, w) and the index (z, y, x) of its first voxel in the grid that it lies in."""

    mask: NDArray[np.bool_]
    offset: Index

    @property
    def box(self) -> Box:
        """Where the mask lies in an array of its grid."""
        return tuple(slice(a, a + n) for a, n in zip(self.offset, self.mask.shape, strict=True))


def overlap(
    first: Sequence[int] | NDArray[np.int_], size: Sequence[int], shape: Sequence[int]
) -> tuple[Box, Box]:
    """Where a box and a volume of `shape` overlap: in the box, and in the volume.

    first: index (z, y, x) in the volume of the box's first voxel, possibly outside it; size: of
    the box.
    """
    low = np.clip(np.negative(first), 0, size)
    high = np.clip(np.subtract(shape, first), low, size)
    return tuple(map(slice, low, high)), tuple(map(slice, first + low, first + high))


def voxel_box(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box of the voxels of a mask (z, y, x); None if it has none."""
    sides = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(sides[0]):
        return None
    return tuple(slice(int(side[0]), int(side[-1]) + 1) for side in sides)


NO_MASK = CroppedMask(np.zeros((0, 0, 0), bool), (0, 0, 0))


def crop(
    mask: NDArray[np.bool_],
    offset: Sequence[int] | NDArray[np.int_] = (0, 0, 0),
    shape: tuple[int, ...] | None = None,
) -> CroppedMask:
    """Cut a mask to the box of its voxels, within a volume of `shape` if that is given.

    offset: index (z, y, x) of the mask's first voxel, possibly outside the volume. A mask without
    a voxel there becomes `NO_MASK`.
    """
    first = np.asarray(offset)
    if shape is not None:
        inside, there = overlap(first, mask.shape, shape)
        mask, first = mask[inside], np.array([side.start for side in there])
    box = voxel_box(mask)
    if box is None:
        return NO_MASK
    z, y, x = (int(start + side.start) for start, side in zip(first, box, strict=True))
    return CroppedMask(np.ascontiguousarray(mask[box]), (z, y, x))


def union(masks: Sequence[CroppedMask]) -> CroppedMask:
    """The voxels of one or more masks of one grid, in the smallest box that holds their boxes."""
    starts = np.array([offset for _, offset in masks])
    ends = starts + [mask.shape for mask, _ in masks]
    low = starts.min(axis=0)
    whole = np.zeros(ends.max(axis=0) - low, np.bool_)
    for (mask, _), start, end in zip(masks, starts - low, ends - low, strict=True):
        whole[tuple(map(slice, start, end))] |= mask
    z, y, x = low.tolist()
    return CroppedMask(whole, (z, y, x))


def mask_iou(a: CroppedMask, b: CroppedMask) -> float:
    """IoU of two masks of one grid, from the overlap of their boxes; 0 where neither has a voxel.

    Dice is 2 IoU / (1 + IoU).
    """
    in_a, in_b = [], []
    for start_a, size_a, start_b, size_b in zip(
        a.offset, a.mask.shape, b.offset, b.mask.shape, strict=True
    ):
        low, high = max(start_a, start_b), min(start_a + size_a, start_b + size_b)
        if low >= high:
            return 0.0
        in_a.append(slice(low - start_a, high - start_a))
        in_b.append(slice(low - start_b, high - start_b))
    common = np.count_nonzero(a.mask[tuple(in_a)] & b.mask[tuple(in_b)])
    either = np.count_nonzero(a.mask) + np.count_nonzero(b.mask) - common
    return float(common / either) if either else 0.0


def suppress_masks(masks: Mapping[int, CroppedMask], threshold: float) -> dict[int, CroppedMask]:
    """Greedy suppression in the given order: a mask is dropped if its IoU with one that was kept
    is above the threshold, or if it has no voxel.
    """
    kept: dict[int, CroppedMask] = {}
    for row, candidate in masks.items():
        if candidate.mask.size and not any(
            mask_iou(candidate, other) > threshold for other in kept.values()
        ):
            kept[row] = candidate
    return kept


def pack_masks(masks: Iterable[CroppedMask]) -> dict[str, NDArray]:
    """Masks as the arrays `PACKED`: shapes (n, 3), offsets (n, 3), and their bits one after the
    other, each mask in ceil(voxels / 8) bytes.
    """
    masks = list(masks)
    bits = [np.packbits(mask.ravel()) for mask, _ in masks]
    return {
        "shapes": np.array([mask.shape for mask, _ in masks], np.int32).reshape(-1, 3),
        "offsets": np.array([offset for _, offset in masks], np.int32).reshape(-1, 3),
        "bits": np.concatenate([np.zeros(0, np.uint8), *bits]),
    }


def unpack_masks(arrays: Mapping[str, NDArray], prefix: str = "") -> list[CroppedMask]:
    """The masks that `pack_masks` packed into arrays whose names now start with `prefix`.

    Raises `ValueError` where the arrays do not agree.
    """
    shapes, offsets, bits = (arrays[f"{prefix}{name}"] for name in PACKED)
    sizes = shapes.prod(axis=1)
    ends = np.cumsum(-(-sizes // 8))
    expected = ends[-1] if len(ends) else 0
    if len(bits) != expected:
        raise ValueError(f"{len(bits)} bytes of masks, the shapes need {expected}")
    parts = np.split(bits, ends[:-1]) if len(ends) else []
    return [
        CroppedMask(np.unpackbits(part, count=size).astype(bool).reshape(shape), (z, y, x))
        for part, size, shape, (z, y, x) in zip(parts, sizes, shapes, offsets.tolist(), strict=True)
    ]


def write_masks(masks: Mapping[int, CroppedMask], path: Path) -> None:
    """Write masks with the row of predictions.csv that each belongs to: the array rows (n,), and
    those of `pack_masks`.
    """
    with replacing(path) as temporary:
        rows = np.array(list(masks), np.int64)
        np.savez(temporary, rows=rows, **pack_masks(masks.values()))  # type: ignore[arg-type]


def read_masks(path: Path) -> dict[int, CroppedMask]:
    """Read what `write_masks` wrote.

    Raises `CorruptArtefact` naming a file that is missing or damaged. Its folder is to be set
    aside, since the workflow makes only the whole folder again.
    """
    with own_artefact(path, path.parent), np.load(path, allow_pickle=False) as content:
        masks = unpack_masks(content)
        return dict(zip(content["rows"].tolist(), masks, strict=True))
