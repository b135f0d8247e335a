"""Lung segmentation, for scans without a lung mask: air in the body, left and right."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.files import InputError
from nodulenet.imaging.body import disc, fill_holes, find_airways, find_body
from nodulenet.imaging.orientation import from_standard, standard
from nodulenet.imaging.volume import Volume

LUNG_LABELS = LEFT, RIGHT = 3, 4  # as in LUNA16's masks
COARSE_MM = 1.4  # approximate voxel size of the segmentation, enlarged afterwards
AIR_HU = -400
LUNG_HU = (-965, -500)  # bowel and stomach hold only gas, lungs some tissue in every voxel
NO_AIR_HU = -300.0  # at least one voxel in a hundred of any lung, however diseased, is below
NOTCH_MM = 9  # radius of the disc that closes notches of vessels and nodules on the pleura
SMALLEST_ML = 50
EROSIONS = 4
SMALLEST_SHARE = 0.1
CROSS = ndimage.generate_binary_structure(3, 1)


def segment_lungs(volume: Volume) -> NDArray[np.uint8]:
    """Segment the lungs of a CT in HU: uint8 (z, y, x), 3 = left, 4 = right (as LUNA16), else 0.

    Air within the body without the airways, split where the lungs touch; vessels, nodules and
    notches on the pleura are filled. Any orientation. Raises `InputError` if the body contains no
    air of the density and size of a lung.
    """
    turned, turn = standard(volume)
    factors = np.maximum(1, np.rint(COARSE_MM / turned.spacing)).astype(int)
    lungs = label_lungs(shrink(turned.array, factors), turned.spacing * factors)
    return from_standard(enlarge(lungs, factors, turned.array.shape), turn)


def label_lungs(hu: NDArray[np.float32], steps: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Label the lungs of a volume (z up, y back, x left); steps: voxel (z, y, x) in mm."""
    body = find_body(hu, steps)
    air = body & (hu < AIR_HU)
    air &= ~find_airways(hu, air, steps)
    labels, _ = ndimage.label(air)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    smallest = SMALLEST_ML * 1000 / np.prod(steps)
    middle = float(np.median(np.flatnonzero(body.any(axis=(0, 1))))) if body.any() else 0.0
    lungs = np.zeros(hu.shape, np.uint8)
    for label in np.flatnonzero(sizes >= smallest):
        part = labels == label
        if LUNG_HU[0] < np.median(hu[ndimage.binary_erosion(part, border_value=1)]) < LUNG_HU[1]:
            _assign_sides(part, lungs, middle)
    if not lungs.any():
        raise InputError(
            f"no lungs: no air in the body has the density and the size of a lung{_no_air(hu)}"
        )
    return _close_notches(lungs, body, steps)


def _no_air(hu: NDArray[np.float32]) -> str:
    """A hint that the voxels are not HU, if none is as dark as air."""
    low, high = (float(value) for value in (hu.min(), hu.max())) if hu.size else (0.0, 0.0)
    if low <= NO_AIR_HU:
        return ""
    return f"; the voxels, from {low:.4g} to {high:.4g}, may not be HU: none is as dark as air"


def _assign_sides(part: NDArray[np.bool_], lungs: NDArray[np.uint8], middle: float) -> None:
    """Label the voxels of a piece of lung in `lungs` (z, y, x): x beyond `middle` is left.

    A piece that extends well to both sides is two touching lungs: it is eroded until it splits,
    and the two cores grow back into it; if it does not split, it is cut at the middle.
    """
    box = ndimage.find_objects(part.astype(np.uint8))[0]
    cut, view = part[box], lungs[box]
    is_left = np.arange(box[2].start, box[2].stop) > middle
    share = cut[..., is_left].sum() / cut.sum()
    if share < SMALLEST_SHARE or share > 1 - SMALLEST_SHARE:
        view[cut] = LEFT if share > 0.5 else RIGHT
        return
    left, right = _split(cut, is_left)
    rest = cut & ~left & ~right
    view[left | (rest & is_left)] = LEFT
    view[right | (rest & ~is_left)] = RIGHT


def _split(
    part: NDArray[np.bool_], is_left: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The left and the right lung of a piece; empty if erosion does not split it."""
    core = part
    for times in range(1, EROSIONS + 1):
        core = ndimage.binary_erosion(core, CROSS)
        labels, _ = ndimage.label(core)
        sizes = np.bincount(labels.ravel(), minlength=3)
        sizes[0] = 0
        first, second = np.argsort(-sizes)[:2]
        if sizes[second] < SMALLEST_SHARE * sizes.sum():
            continue
        sides = [(labels[..., is_left] == k).sum() / sizes[k] > 0.5 for k in (first, second)]
        if sides[0] == sides[1]:
            continue
        left, right = (labels == k for k in ((first, second) if sides[0] else (second, first)))
        for _ in range(times + 1):
            left = left | (ndimage.binary_dilation(left, CROSS) & part & ~right)
            right = right | (ndimage.binary_dilation(right, CROSS) & part & ~left)
        return left, right
    return np.zeros_like(part), np.zeros_like(part)


def _close_notches(
    lungs: NDArray[np.uint8], body: NDArray[np.bool_], steps: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Close notches and fill holes of each lung, slice by slice, within the body."""
    kernel = disc(NOTCH_MM, steps)
    reach = kernel.shape[0] + kernel.shape[1]
    out = lungs.copy()
    for label in LUNG_LABELS:
        for z in np.flatnonzero((lungs == label).any(axis=(1, 2))):
            plane = (lungs[z] == label).astype(np.uint8)
            wide = np.pad(plane, reach)
            whole = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, kernel)[reach:-reach, reach:-reach]
            out[z][fill_holes(np.ascontiguousarray(whole)) & body[z] & (out[z] == 0)] = label
    return out


def shrink(array: NDArray, factors: NDArray[np.int_]) -> NDArray[np.float32]:
    """Means of blocks of `factors` (z, y, x) voxels, edge voxels repeated to fill the last."""
    depth = -(-array.shape[0] // factors[0])
    far_y, far_x = (int(-n % f) for n, f in zip(array.shape[1:], factors[1:], strict=True))
    size = ((array.shape[2] + far_x) // factors[2], (array.shape[1] + far_y) // factors[1])
    out = np.zeros((depth, size[1], size[0]), np.float32)
    for z in range(depth):
        group = array[z * factors[0] : (z + 1) * factors[0]]
        for plane in group:
            plane = np.ascontiguousarray(plane, np.float32)
            wide = cv2.copyMakeBorder(plane, 0, far_y, 0, far_x, cv2.BORDER_REPLICATE)
            out[z] += cv2.resize(wide, size, interpolation=cv2.INTER_AREA) / len(group)
    return out


def enlarge(
    labels: NDArray[np.uint8], factors: NDArray[np.int_], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Undo `shrink` for labels: outlines interpolated linearly in the slice, slices repeated."""
    out = np.zeros(shape, np.uint8)
    size = (int(labels.shape[2] * factors[2]), int(labels.shape[1] * factors[1]))
    for z, plane in enumerate(labels):
        for label in np.unique(plane[plane > 0]):
            fine = cv2.resize((plane == label).astype(np.float32), size) > 0.5
            out[z * factors[0] : (z + 1) * factors[0], fine[: shape[1], : shape[2]]] = label
    return out
