"""The patient's body in a CT, apart from the table and the air around."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TISSUE_HU = -400
TABLE_MM = 4  # wider than the shell of a table, thinner than a chest wall


def find_body(hu: NDArray[np.float32], steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The body (z, y, x) with the air it encloses; empty where there is no tissue.

    Tissue that outlasts an opening wider than a table's shell, its largest piece, with the thin
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
    """A mask (y, x) with its holes filled: all that cannot be reached from the border."""
    ringed = cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(ringed, None, (0, 0), 2)
    return np.asarray(ringed[1:-1, 1:-1] != 2)
