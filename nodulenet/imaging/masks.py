"""Nodule masks moved to another grid, each separately and at its own box."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.imaging.grid import Shape, index_map
from nodulenet.masks import NO_MASK, CroppedMask, crop

MARGIN = 12  # voxels of background around a mask, so that the spline does not feel the edge
HALF = 0.5 - 1e-6  # a boundary midway between two voxels must not depend on rounding

Nodule = tuple[int, CroppedMask]


class Painted(TypedDict):
    """What became of one label: its voxels, and why some or all were lost ("" if none)."""

    voxels: int
    lost: str


def resample_mask(
    cropped: CroppedMask,
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: tuple[int, ...] | None = None,
    order: int = 3,
) -> CroppedMask:
    """Put a mask on another grid: a B-spline of an order, set where it is at least 0.5.

    Affines take indices (z, y, x) to LPS mm. The result is clipped to `target_shape` if that is
    given, and `NO_MASK` if nothing is left.
    """
    if not cropped.mask.any():
        return NO_MASK
    first, size = _box_on_target(cropped, source_affine, target_affine)
    matrix, shift = index_map(source_affine, target_affine)
    values = ndimage.affine_transform(
        np.pad(cropped.mask, MARGIN).astype(np.float64),
        matrix,
        matrix @ first + shift - np.asarray(cropped.offset) + MARGIN,
        output_shape=tuple(size),
        order=order,
        mode="constant",
    )
    return crop(values >= HALF, first, target_shape)


def restore_mask(
    cropped: CroppedMask,
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: tuple[int, ...] | None = None,
) -> CroppedMask:
    """Put a mask of the 1 mm grid back into the scan's own: as `resample_mask`, but linear."""
    return resample_mask(cropped, source_affine, target_affine, target_shape, order=1)


def _box_on_target(
    cropped: CroppedMask,
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First target index and size of the box that holds a mask's box grown by one voxel."""
    matrix, shift = index_map(target_affine, source_affine)
    low = np.asarray(cropped.offset) - 1.0
    high = np.asarray(cropped.offset) + np.asarray(cropped.mask.shape)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    moved = matrix @ corners + shift[:, None]
    first = np.floor(moved.min(axis=1)).astype(int)
    return first, np.ceil(moved.max(axis=1)).astype(int) - first + 1


def label_volume(
    nodules: Sequence[Nodule],
    source_affine: NDArray[np.float64],
    target_affine: NDArray[np.float64],
    target_shape: Shape,
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], dict[int, Painted]]:
    """Paint nodules (label, mask) of the scan's grid into an array of labels (z, y, x).

    Label 0 (findings that are not consensus nodules) is skipped. Where two overlap, the later one
    has the voxel. The second result says for each label how many voxels it has in the end and, if
    some or all were lost, why.
    """
    wanted = [nodule for nodule in nodules if nodule[0] > 0]
    highest = max((label for label, _ in wanted), default=0)
    labels = np.zeros(target_shape, np.uint8 if highest < 256 else np.uint16)
    places: dict[int, tuple[int, int, tuple[slice, ...]]] = {}
    for label, mask in wanted:
        moved = resample_mask(mask, source_affine, target_affine)
        left = crop(*moved, target_shape)
        labels[left.box][left.mask] = label
        places[label] = (int(moved.mask.sum()), int(left.mask.sum()), left.box)
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
