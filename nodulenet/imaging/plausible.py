"""Whether the voxels of a CT are HU, told by those of its lungs and of what lies around them."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.files import InputError
from nodulenet.imaging.hull import LUNG_LABELS
from nodulenet.imaging.volume import Volume

LUNG_HU = (-970.0, -500.0)  # median in the lungs: from emphysema to diffuse disease
AROUND_HU = (-150.0, 150.0)  # median around them: fat to tissue with contrast medium
NO_AIR_HU = -300.0  # no lung, however ill, has less than one voxel in a hundred below
BELOW_AIR_HU = -1100.0  # air is -1000
STEP = (700.0, 1100.0)  # how much brighter in HU the surroundings are than the lungs
TISSUE_HU = 30.0


class NotHU(InputError):
    """The voxels of a scan are certainly not HU."""


def check_hu(scan: Volume, lungs: NDArray[np.uint8]) -> str:
    """A warning where the voxels of a CT may not be HU, else "".

    Looked at are the voxels of the lungs (labels 3 and 4 on the scan's grid) and those around
    them, in the lungs' box. They may not be HU where the median of the lungs is not in -970 to
    -500 or that around them not in -150 to 150. What their offset seems to be is said, never
    applied. Raises `NotHU` where it is certain: one value in all of the lungs; fewer than one
    voxel in a hundred of them below -300; a median below -1100. `lungs` holds a lung.
    """
    lung, around = _parts(scan, lungs)
    middle, outer = _medians(lung, around)
    found = f"median {middle:.4g} in the lungs, {outer:.4g} around them{_guess(middle, outer)}"
    if lung.min() == lung.max():
        raise NotHU(f"not HU: every voxel of the lungs is {float(lung[0]):.4g}")
    if middle < BELOW_AIR_HU or np.percentile(lung, 1) > NO_AIR_HU:
        raise NotHU(f"not HU, or the lung mask lies elsewhere: {found}")
    if LUNG_HU[0] <= middle <= LUNG_HU[1] and not (outer < AROUND_HU[0] or outer > AROUND_HU[1]):
        return ""
    return f"its voxels may not be HU: {found}"


def medians(scan: Volume, lungs: NDArray[np.uint8]) -> tuple[float, float]:
    """Median of the voxels of the lungs, and of those around them (NaN where there is none)."""
    return _medians(*_parts(scan, lungs))


def _parts(scan: Volume, lungs: NDArray[np.uint8]) -> tuple[NDArray, NDArray]:
    held = np.isin(lungs, LUNG_LABELS)
    box = ndimage.find_objects(held.astype(np.uint8))[0]
    return scan.array[box][held[box]], scan.array[box][~held[box]]


def _medians(lung: NDArray, around: NDArray) -> tuple[float, float]:
    return float(np.median(lung)), float(np.median(around)) if around.size else float("nan")


def no_air(hu: NDArray) -> str:
    """What to add to "no lungs": that the voxels are not HU, where none is as dark as air."""
    low, high = (float(value) for value in (hu.min(), hu.max())) if hu.size else (0.0, 0.0)
    if low <= NO_AIR_HU:
        return ""
    return f"; the voxels, from {low:.4g} to {high:.4g}, may not be HU: none is as dark as air"


def _guess(middle: float, outer: float) -> str:
    """What the medians in and around the lungs say of the offset or the scale, for the message."""
    if LUNG_HU[0] <= middle <= LUNG_HU[1] and AROUND_HU[0] <= outer <= AROUND_HU[1]:
        return ""
    if not STEP[0] <= outer - middle <= STEP[1]:
        return " (in HU about -860 and 30)"
    offset = outer - TISSUE_HU
    done = "added to" if offset > 0 else "subtracted from"
    return f" (as if about {abs(offset):.0f} had been {done} HU)"
