"""Nodule masks on another grid: each by itself, at its own box."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.imaging.grid import Shape, index_map

MARGIN = 12  # voxels of background around a mask: the spline has forgotten the edge by then
HALF = 0.5 - 1e-6  # a boundary midway between two voxels must not depend on rounding

Nodule = tuple[int, NDArray[np.bool_], tuple[int, int, int]]


class Painted(TypedDict):
    """What became of one label: its voxels, and why some or all were lost ("" if none)."""

    voxels: int
    lost: str


def resample_mask(
    mask: NDArray[np.bool_],
    offset: Sequence[int],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: Shape | None = None,
) -> tuple[NDArray[np.bool_], Shape]:
    """Put one cropped mask on another grid: cubic B-spline, set where it is at least 0.5.

    mask: (d, h, w) whose first voxel has the index `offset` (z, y, x) in the source grid.
    Returns the mask cropped to its box in the target grid and its offset there, clipped to
    `target_shape` if that is given; a mask of shape (0, 0, 0) if nothing is left.
    """
    return _transformed(mask, offset, source_affine, target_affine, target_shape, order=3)


def restore_mask(
    mask: NDArray[np.bool_],
    offset: Sequence[int],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: Shape | None = None,
) -> tuple[NDArray[np.bool_], Shape]:
    """Put a mask of the 1 mm grid back into the scan's own: linear, set where at least 0.5.

    Arguments and result as of `resample_mask`.
    """
    return _transformed(mask, offset, source_affine, target_affine, target_shape, order=1)


def _transformed(
    mask: NDArray[np.bool_],
    offset: Sequence[int],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: Shape | None,
    order: int,
) -> tuple[NDArray[np.bool_], Shape]:
    if not mask.any():
        return np.zeros((0, 0, 0), bool), (0, 0, 0)
    first, size = _target_box(mask.shape, offset, source_affine, target_affine)
    matrix, shift = index_map(source_affine, target_affine)
    values = ndimage.affine_transform(
        np.pad(mask, MARGIN).astype(np.float64),
        matrix,
        matrix @ first + shift - np.asarray(offset) + MARGIN,
        output_shape=tuple(size),
        order=order,
        mode="constant",
    )
    return cropped(values >= HALF, first, target_shape)


def _target_box(
    shape: tuple[int, ...],
    offset: Sequence[int],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First target index and size of the box that holds a source box grown by one voxel."""
    matrix, shift = index_map(target_affine, source_affine)
    low = np.asarray(offset) - 1.0
    high = np.asarray(offset) + np.asarray(shape)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    moved = matrix @ corners + shift[:, None]
    first = np.floor(moved.min(axis=1)).astype(int)
    return first, np.ceil(moved.max(axis=1)).astype(int) - first + 1


def cropped(
    mask: NDArray[np.bool_], offset: Sequence[int] | NDArray[np.int_], shape: Shape | None = None
) -> tuple[NDArray[np.bool_], Shape]:
    """Cut a mask to its box, clipped to a volume of `shape` if given; with its new offset."""
    offset = np.asarray(offset)
    if shape is not None:
        low = np.clip(-offset, 0, mask.shape)
        high = np.clip(np.asarray(shape) - offset, low, mask.shape)
        mask = mask[tuple(map(slice, low, high))]
        offset = offset + low
    if not mask.any():
        return np.zeros((0, 0, 0), bool), (0, 0, 0)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    z, y, x = (int(o) + side.start for o, side in zip(offset, box, strict=True))
    return np.ascontiguousarray(mask[box]), (z, y, x)


def label_volume(
    nodules: Sequence[Nodule],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: Shape,
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], dict[int, Painted]]:
    """Paint nodules (label, mask, offset) of the scan's grid into a label array (z, y, x).

    Label 0 (findings that are no consensus nodule) is passed over. Where two overlap, the later
    one has the voxel. The second result says for each label how many voxels it has in the end
    and, if some or all were lost, where they went.
    """
    wanted = [nodule for nodule in nodules if nodule[0] > 0]
    highest = max((label for label, _, _ in wanted), default=0)
    labels = np.zeros(target_shape, np.uint8 if highest < 256 else np.uint16)
    places: dict[int, tuple[int, int, tuple[slice, ...]]] = {}
    for label, mask, offset in wanted:
        moved, start = resample_mask(mask, offset, source_affine, target_affine)
        whole = int(moved.sum())
        moved, start = cropped(moved, start, target_shape)
        box = tuple(slice(a, a + n) for a, n in zip(start, moved.shape, strict=True))
        labels[box][moved] = label
        places[label] = (whole, int(moved.sum()), box)
    painted: dict[int, Painted] = {}
    for label, (whole, inside, box) in places.items():
        voxels = int((labels[box] == label).sum())
        painted[label] = {"voxels": voxels, "lost": _lost(whole, inside, voxels)}
    return labels, painted


def _lost(whole: int, inside: int, left: int) -> str:
    if whole == 0:
        return "vanishes: it reaches half of no voxel of the new grid"
    if inside == 0:
        return f"outside the crop: all of its {whole} voxels"
    reasons = []
    if inside < whole:
        reasons.append(f"outside the crop: {whole - inside} of its {whole} voxels")
    if left < inside:
        reasons.append(f"covered by a later nodule: {inside - left} of its {whole} voxels")
    return "; ".join(reasons)
