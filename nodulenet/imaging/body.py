"""The body in a CT, apart from the table, and the airways, which hold air but are not lung."""

import cv2
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

TISSUE_HU = -400
TABLE_MM = 4  # wider than the shell of a table, thinner than a chest wall
LUMEN_HU = -900
AREA_MM2 = (50, 800)
ROUND = 0.55  # share of its bounding rectangle that the trachea's cross-section fills
SLENDER = 2.5
OFF_MIDDLE_MM = 45
LONG_MM = 20
GROWTH_HU = (-960, -940, -920, -900)
LARGEST_ML = 90
WALL_MM = 1.5


def find_body(hu: NDArray[np.float32], steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The body (z, y, x) with the air it encloses; empty if there is no tissue.

    The largest piece of tissue that survives an opening wider than a table's shell, with the thin
    tissue beside it, filled slice by slice. steps: voxel (z, y, x) in mm.
    """
    tissue = (hu > TISSUE_HU).astype(np.uint8)
    kernel = disc(TABLE_MM, steps)
    opened = np.stack([cv2.morphologyEx(plane, cv2.MORPH_OPEN, kernel) for plane in tissue])
    labels, count = ndimage.label(opened)
    body = np.zeros(hu.shape, bool)
    if not count:
        return body
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    for z, plane in enumerate(tissue):
        core = (labels[z] == largest).astype(np.uint8)
        body[z] = fill_holes(cv2.dilate(core, kernel) & plane)
    return body


def disc(radius: float, steps: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A disc (y, x) of a radius in mm, at least one voxel; steps: voxel (z, y, x) in mm."""
    y, x = np.maximum(1, np.rint(radius / steps[1:])).astype(int)
    size = (int(2 * x + 1), int(2 * y + 1))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size).astype(np.uint8)


def fill_holes(plane: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A mask (y, x) with its holes filled: everything that cannot be reached from the border."""
    ringed = cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(ringed, None, (0, 0), 2)
    return np.asarray(ringed[1:-1, 1:-1] != 2)


def find_airways(
    hu: NDArray[np.float32], air: NDArray[np.bool_], steps: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Trachea and main bronchi with their walls, empty if no trachea is found.

    hu, air (within the body): (z, y, x) in standard orientation; steps: voxel (z, y, x) in mm.
    From a tube of roundish cross-sections near the midline, region growing follows the bronchi,
    at the highest of several thresholds that does not leak into the lungs.
    """
    tube = _trachea(hu, air, steps)
    if not tube.any():
        return tube
    lumen = _grow(hu, air, tube, float(np.prod(steps)) / 1000)
    return np.stack([cv2.dilate(p, disc(WALL_MM, steps)) for p in lumen.astype(np.uint8)]).astype(
        bool
    )


def _trachea(
    hu: NDArray[np.float32], air: NDArray[np.bool_], steps: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The highest stack, at least 20 mm long, of cross-sections that look like a trachea's."""
    middle = np.median(np.flatnonzero(air.any(axis=(0, 1)))) if air.any() else 0
    sections = np.zeros(air.shape, np.uint8)
    for z, plane in enumerate((air & (hu < LUMEN_HU)).astype(np.uint8)):
        _, labels, stats, centres = cv2.connectedComponentsWithStats(plane, connectivity=4)
        width, height, pixels = (stats[:, k] for k in (2, 3, 4))
        area = pixels * steps[1] * steps[2]
        slender = np.maximum(width, height) / np.minimum(width, height)
        fits = (area > AREA_MM2[0]) & (area < AREA_MM2[1]) & (slender < SLENDER)
        fits &= pixels > ROUND * width * height
        fits &= np.abs(centres[:, 0] - middle) * steps[2] < OFF_MIDDLE_MM
        fits[0] = False
        sections[z] = fits[labels]
    labels, _ = ndimage.label(sections)
    best, top = 0, -1
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        length = (box[0].stop - box[0].start) * steps[0]
        if length >= LONG_MM and box[0].stop > top:
            best, top = label, box[0].stop
    return (labels == best) & (best > 0)


def _grow(
    hu: NDArray[np.float32], air: NDArray[np.bool_], tube: NDArray[np.bool_], voxel_ml: float
) -> NDArray[np.bool_]:
    """The tube with all air connected to it, while that is not too large."""
    image = sitk.GetImageFromArray(np.where(air, hu, np.float32(0)))
    inside = np.argwhere(tube & (hu < GROWTH_HU[0]))
    seeds = [tuple(map(int, index[::-1])) for index in inside[:: max(1, len(inside) // 50)]]
    lumen = tube
    for limit in GROWTH_HU if seeds else ():
        grown = sitk.ConnectedThreshold(image, seeds, lower=-4000, upper=float(limit))
        region = sitk.GetArrayViewFromImage(grown).astype(bool) | tube
        if region.sum() * voxel_ml > LARGEST_ML:
            break
        lumen = region
    return lumen
