"""Which lung is the left one, and where the two part when they touch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEFT, RIGHT = 3, 4
EROSIONS = 4
SMALLEST_SHARE = 0.1
CROSS = ndimage.generate_binary_structure(3, 1)


def assign_sides(part: NDArray[np.bool_], lungs: NDArray[np.uint8], middle: float) -> None:
    """Label the voxels of a piece of lung in `lungs` (z, y, x): x beyond `middle` is left.

    A piece that reaches well to both sides is two lungs that touch: it is eroded until it falls
    apart and the two cores grow back into it; one that does not fall apart is cut at the middle.
    """
    box = ndimage.find_objects(part.astype(np.uint8))[0]
    cut, view = part[box], lungs[box]
    is_left = np.arange(box[2].start, box[2].stop) > middle
    share = cut[..., is_left].sum() / cut.sum()
    if share < SMALLEST_SHARE or share > 1 - SMALLEST_SHARE:
        view[cut] = LEFT if share > 0.5 else RIGHT
        return
    left, right = _cores(cut, is_left)
    rest = cut & ~left & ~right
    view[left | (rest & is_left)] = LEFT
    view[right | (rest & ~is_left)] = RIGHT


def _cores(
    part: NDArray[np.bool_], is_left: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The left and the right lung of a piece as far as they part; empty if they do not."""
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
        left, right = (first, second) if sides[0] else (second, first)
        return _regrown(part, labels == left, labels == right, times + 1)
    return np.zeros_like(part), np.zeros_like(part)


def _regrown(
    part: NDArray[np.bool_], left: NDArray[np.bool_], right: NDArray[np.bool_], times: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    for _ in range(times):
        left = left | (ndimage.binary_dilation(left, CROSS) & part & ~right)
        right = right | (ndimage.binary_dilation(right, CROSS) & part & ~left)
    return left, right
