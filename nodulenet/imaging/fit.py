"""Whether outlines fit the image: nodules are brighter than what is around them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import ndimage

from nodulenet.imaging.masks import Nodule
from nodulenet.imaging.orientation import STANDARD, turned_mask
from nodulenet.imaging.volume import Volume
from nodulenet.masks import CroppedMask

GAP_MM, RING_MM = 1.0, 3.0  # of a mask, where its ring begins and ends
LEAST_HU = 200.0  # contrast that a mirrored place must have
SHARE = 3.0  # and how many times the contrast of the outlines' own place
AXES = "zyx"
MIRRORS = [flips for count in (1, 2, 3) for flips in combinations(range(3), count)]


def misfit(scan: Volume, nodules: Sequence[Nodule]) -> str:
    """A warning where the nodules' outlines fit a mirrored place much better, else "".

    Contrast of a nodule: its median HU less that of a ring 1 to 3 mm around it; of a scan: the
    median over its nodules (label > 0; where there is none, over all groups). A mirrored place is
    that of the masks flipped along one, two or all of z, y, x within the scan. It fits much better
    where its contrast is at least 200 HU and three times that of the own place; docs/annotations.md
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
    names = ", ".join(AXES[axis] for axis in flips)
    return (
        f"the outlines fit the image better mirrored in {names}: there their inside is {best:.0f}"
        f" HU brighter than a ring around it, where they lie {own:.0f} HU; the image may be flipped"
    )


def contrast(scan: Volume, nodules: Sequence[Nodule], flips: tuple[int, ...]) -> float:
    """Median contrast (HU) of nodules mirrored along the axes `flips`; NaN where there is none."""
    values = []
    for _, mask in nodules:
        turned = turned_mask(mask, (STANDARD[0], flips), scan.array.shape)
        values.append(one_contrast(scan, turned))
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def one_contrast(scan: Volume, cropped: CroppedMask) -> float:
    """Median HU in a cropped mask less that of the ring around it; NaN without either."""
    pad = np.ceil(RING_MM / scan.spacing).astype(int)
    wide = np.pad(cropped.mask, [(n, n) for n in pad])
    distance = ndimage.distance_transform_edt(~wide, sampling=scan.spacing)
    ring = (distance > GAP_MM) & (distance <= RING_MM)
    start = np.array(cropped.offset) - pad
    low = np.clip(-start, 0, wide.shape)
    high = np.clip(np.array(scan.array.shape) - start, low, wide.shape)
    inside = tuple(map(slice, low, high))
    values = scan.array[tuple(map(slice, start + low, start + high))]
    if not wide[inside].any() or not ring[inside].any():
        return float("nan")
    return float(np.median(values[wide[inside]]) - np.median(values[ring[inside]]))
