"""The trachea and the main bronchi, which are air in the body but no lung."""

import cv2
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

LUMEN_HU = -900
AREA_MM2 = (50, 800)
ROUND = 0.55  # share of its bounding rectangle that the trachea's cross-section fills
SLENDER = 2.5
OFF_MIDDLE_MM = 45
LONG_MM = 20
GROWTH_HU = (-960, -940, -920, -900)
LARGEST_ML = 90
WALL_MM = 1.5


def find_airways(
    hu: NDArray[np.float32], air: NDArray[np.bool_], steps: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Trachea and main bronchi with their wall, empty where no trachea is seen.

    hu, air (within the body): (z, y, x) in standard orientation; steps: voxel (z, y, x) in mm.
    A tube of roundish cross-sections near the middle is followed into the bronchi by region
    growing; of several thresholds the highest counts at which it does not leak into the lungs.
    """
    tube = _trachea(hu, air, steps)
    if not tube.any():
        return tube
    lumen = _grown(hu, air, tube, float(np.prod(steps)) / 1000)
    wall = np.maximum(1, np.rint(WALL_MM / steps)).astype(int)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wall[2] + 1, 2 * wall[1] + 1))
    return np.stack([cv2.dilate(p, kernel) for p in lumen.astype(np.uint8)]).astype(bool)


def _trachea(
    hu: NDArray[np.float32], air: NDArray[np.bool_], steps: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The highest stack of at least 20 mm of cross-sections that look like a trachea's."""
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


def _grown(
    hu: NDArray[np.float32], air: NDArray[np.bool_], tube: NDArray[np.bool_], voxel_ml: float
) -> NDArray[np.bool_]:
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
