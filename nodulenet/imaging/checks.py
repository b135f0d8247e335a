"""Checks of a scan: are its voxels HU, and do the outlines lie on something bright?"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.files import InputError
from nodulenet.imaging.lungs import LUNG_LABELS, NO_AIR_HU
from nodulenet.imaging.masks import Nodule
from nodulenet.imaging.orientation import STANDARD, turned_mask
from nodulenet.imaging.volume import Volume
from nodulenet.masks import CroppedMask, overlap

LUNG_HU = (-970.0, -500.0)  # median in the lungs: from emphysema to diffuse disease
AROUND_HU = (-150.0, 150.0)  # median around them: fat to tissue with contrast medium
BELOW_AIR_HU = -1100.0  # air is -1000
STEP = (700.0, 1100.0)  # how much brighter in HU the surroundings are than the lungs
TISSUE_HU = 30.0
GAP_MM, RING_MM = 1.0, 3.0  # where the ring around a mask begins and ends
LEAST_HU = 200.0  # contrast that a mirrored position must have
SHARE = 3.0  # and how many times the contrast at the outlines' own position
MIRRORS = [flips for count in (1, 2, 3) for flips in combinations(range(3), count)]


def check_hu(scan: Volume, lungs: NDArray[np.uint8]) -> str:
    """A warning if the voxels of a CT may not be HU, else "".

    Judged by the voxels of the lungs (labels 3 and 4 on the scan's grid; at least one) and those
    around them in the lungs' box: doubtful if the median of the lungs is not within -970 to -500
    or that around them not within -150 to 150. An apparent offset is reported, never applied.
    Raises `InputError` if it is certain: a single value in all of the lungs; fewer than one voxel
    in a hundred of them below -300; a median below -1100.
    """
    lung, around = lung_parts(scan, lungs)
    middle, outer = medians(lung, around)
    found = f"median {middle:.4g} in the lungs, {outer:.4g} around them{_guess(middle, outer)}"
    if lung.min() == lung.max():
        raise InputError(f"not HU: every voxel of the lungs is {float(lung[0]):.4g}")
    if middle < BELOW_AIR_HU or np.percentile(lung, 1) > NO_AIR_HU:
        raise InputError(f"not HU, or the lung mask lies elsewhere: {found}")
    if LUNG_HU[0] <= middle <= LUNG_HU[1] and not (outer < AROUND_HU[0] or outer > AROUND_HU[1]):
        return ""
    return f"its voxels may not be HU: {found}"


def lung_parts(scan: Volume, lungs: NDArray[np.uint8]) -> tuple[NDArray, NDArray]:
    """The voxels (n,) of the lungs, and those around them in their box."""
    inside = np.isin(lungs, LUNG_LABELS)
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    return scan.array[box][inside[box]], scan.array[box][~inside[box]]


def medians(lung: NDArray, around: NDArray) -> tuple[float, float]:
    """Median of the voxels of the lungs, and of those around them (NaN if there are none)."""
    return float(np.median(lung)), float(np.median(around)) if around.size else float("nan")


def _guess(middle: float, outer: float) -> str:
    """What the medians suggest about the offset or the scale, for the message."""
    if LUNG_HU[0] <= middle <= LUNG_HU[1] and AROUND_HU[0] <= outer <= AROUND_HU[1]:
        return ""
    if not STEP[0] <= outer - middle <= STEP[1]:
        return " (in HU about -860 and 30)"
    offset = outer - TISSUE_HU
    done = "added to" if offset > 0 else "subtracted from"
    return f" (as if about {abs(offset):.0f} had been {done} HU)"


def misfit(scan: Volume, nodules: Sequence[Nodule]) -> str:
    """A warning if the nodules' outlines fit much better at a mirrored position, else "".

    Contrast of a nodule: its median HU minus that of a ring 1 to 3 mm around it; of a scan: the
    median over its nodules (label > 0; if there are none, over all groups). A mirrored position is
    that of the masks flipped along one, two or all of z, y, x within the scan. It fits much better
    if its contrast is at least 200 HU and three times that at the own position; docs/annotations.md
    has the measurements behind both numbers.

    scan: HU (z, y, x) in standard orientation; nodules: (label, mask) in its grid.
    """
    chosen = [nodule for nodule in nodules if nodule[0] > 0] or list(nodules)
    own = contrast(scan, chosen, ())
    mirrored = {flips: contrast(scan, chosen, flips) for flips in MIRRORS}
    flips = max(mirrored, key=lambda key: np.nan_to_num(mirrored[key], nan=-np.inf))
    best = mirrored[flips]
    if not (best >= LEAST_HU and best >= SHARE * own):
        return ""
    names = ", ".join("zyx"[axis] for axis in flips)
    return (
        f"the outlines fit the image better mirrored in {names}: there their inside is {best:.0f}"
        f" HU brighter than a ring around it, where they lie {own:.0f} HU; the image may be flipped"
    )


def contrast(scan: Volume, nodules: Sequence[Nodule], flips: tuple[int, ...]) -> float:
    """Median contrast (HU) of nodules mirrored along the axes `flips`; NaN if there is none."""
    turn = (STANDARD[0], flips)
    turned = [turned_mask(mask, turn, scan.array.shape) for _, mask in nodules]
    values = [one_contrast(scan, mask) for mask in turned]
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def one_contrast(scan: Volume, cropped: CroppedMask) -> float:
    """Median HU in a cropped mask minus that of the ring around it; NaN if either is empty."""
    pad = np.ceil(RING_MM / scan.spacing).astype(int)
    wide = np.pad(cropped.mask, [(n, n) for n in pad])
    distance = ndimage.distance_transform_edt(~wide, sampling=scan.spacing)
    ring = (distance > GAP_MM) & (distance <= RING_MM)
    inside, there = overlap(np.array(cropped.offset) - pad, wide.shape, scan.array.shape)
    values = scan.array[there]
    if not wide[inside].any() or not ring[inside].any():
        return float("nan")
    return float(np.median(values[wide[inside]]) - np.median(values[ring[inside]]))
