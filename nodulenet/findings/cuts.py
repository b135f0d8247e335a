"""Views of a scan around a finding, in radiological orientation."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.findings.measure import Finding
from nodulenet.imaging import Volume
from nodulenet.imaging.orientation import Turn
from nodulenet.masks import overlap

LUNG_WINDOW = (-1350.0, 150.0)
LEAST_HALF_MM, MOST_HALF_MM = 20.0, 100.0
PLANES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True, eq=False)
class View:
    """A scan (HU), its lungs and the findings' labels, turned as `standard` does, and the turn."""

    scan: Volume
    lungs: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    turn: Turn


@dataclass(frozen=True, eq=False)
class Block:
    """A block around a finding, in a scan turned so that z is up, y back and x left.

    image: lung window as grey values, mask: the finding's, both (z, y, x); spacing (z, y, x) in
    mm; centre: the voxel of the finding; first: the index in the scan of the first voxel.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    spacing: NDArray[np.float64]
    centre: tuple[int, int, int]
    first: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane: grey values and mask (rows, columns), and the size of a pixel (rows, columns)."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    spacing: tuple[float, float]


def grey(hu: NDArray, window: tuple[float, float] = LUNG_WINDOW) -> NDArray[np.uint8]:
    """HU as grey values from 0 to 255 between the window's ends."""
    low, high = window
    scaled = (np.clip(hu.astype(np.float32), low, high) - low) * (255 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def cut_block(finding: Finding, view: View) -> Block:
    """The block around a finding, black beyond the scan."""
    scan = view.scan
    # An untrained network gives boxes of any size.
    half_mm = min(max(LEAST_HALF_MM, 0.9 * finding.diameter_mm), MOST_HALF_MM)
    half = [math.ceil(half_mm / step) for step in scan.spacing]
    centre = np.rint(scan.to_voxel(finding.position)).astype(int)
    centre = np.clip(centre, 0, np.array(scan.array.shape) - 1)
    low = centre - half
    size = tuple(2 * n + 1 for n in half)
    inside, here = overlap(low, size, scan.array.shape)
    image, mask = np.zeros(size, np.uint8), np.zeros(size, bool)
    image[inside] = grey(scan.array[here])
    mask[inside] = view.labels[here] == finding.number
    z, y, x = low.tolist()
    return Block(image, mask, scan.spacing, (half[0], half[1], half[2]), (z, y, x))


def three_cuts(block: Block) -> list[Cut]:
    """Axial (front above), coronal and sagittal (head above) cuts where the mask is largest.

    The patient's right is at the left of the axial and coronal cuts, the front of the sagittal.
    Without a mask they go through the centre.
    """
    cuts = []
    for axis in range(3):
        area = block.mask.sum(axis=tuple(other for other in range(3) if other != axis))
        at = int(area.argmax()) if area.any() else block.centre[axis]
        image, mask = np.take(block.image, at, axis), np.take(block.mask, at, axis)
        rows, columns = np.delete(block.spacing, axis).tolist()
        if axis:
            image, mask = image[::-1], mask[::-1]
        cuts.append(Cut(image, mask, (rows, columns)))
    return cuts
