"""From a chest in HU to the slices of a scanner: slice profile, kernel, noise, streaks, motion."""

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.phantom.chest import Chest
from nodulenet.phantom.grid import Floats, Grid
from nodulenet.phantom.parameters import Parameters

LOWEST, HIGHEST = -1024, 3071
WITHIN = 18.0
"""Distance (mm) from the heart over which it moves the lung."""


def acquire(
    volume: Floats, fine: Grid, chest: Chest, rng: np.random.Generator
) -> NDArray[np.int16]:
    """The slices (z, y, x) int16 HU of a chest, from its volume on a grid of finer planes."""
    slices, drawn = chest.grid, chest.drawn
    scan = np.empty(slices.shape, np.int16)
    weights = slice_weights(fine, slices, drawn.thickness)
    before: Floats | None = None
    for index, row in enumerate(weights):
        used = np.flatnonzero(row)
        image = np.tensordot(row[used], volume[used[0] : used[-1] + 1], axes=1)
        image = _moved(image, index, chest, rng)
        image = _kernel(image, slices, drawn)
        noise = _noise(slices, drawn, rng)
        # Overlapping slices share a part of their noise.
        share = np.float32(1 - drawn.overlap)
        if before is not None:
            noise = share * before + np.sqrt(1 - share**2) * noise
        before = noise
        image += noise + np.float32(drawn.offset)
        scan[index] = np.clip(np.rint(image), LOWEST, HIGHEST)
    return scan


def slice_weights(fine: Grid, slices: Grid, thickness: float) -> NDArray[np.float32]:
    """Weights (slices, fine slices) of the slice profile, each row's sum 1.

    The profile is flat over 0.7 of the thickness and falls to zero at 1.3 of it, so that its width
    at half its height is the thickness; it is never narrower than the step of the fine grid.
    """
    width = max(thickness, fine.spacing[0])
    distance = np.abs(slices.z[:, None] - fine.z[None, :])
    weights = np.clip((0.65 * width - distance) / (0.3 * width), 0, 1)
    weights += (distance == distance.min(axis=1, keepdims=True)) * 1e-3
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _moved(image: Floats, index: int, chest: Chest, rng: np.random.Generator) -> Floats:
    """Double contours near the heart, from its motion during the rotation."""
    grid, anatomy, drawn = chest.grid, chest.anatomy, chest.drawn
    if drawn.beat < 1:
        return image
    z = float(grid.z[index])
    near: Floats = anatomy.slice_of(anatomy.heart, z, grid.shape[1:])
    near = np.clip(1 + near / np.float32(WITHIN), 0, 1) * (near > -WITHIN)
    near *= np.clip((np.float32(0.05 * anatomy.height) - z) / 20, 0, 1)
    if not near.any():
        return image
    shift = rng.uniform(-0.5, 0.5, 2) * drawn.beat / grid.spacing[2]
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    other = cv2.warpAffine(image, matrix, image.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return image + np.float32(0.5) * near * (other - image)


def _kernel(image: Floats, grid: Grid, drawn: Parameters) -> Floats:
    """In-plane blur, with overshoot at edges for a sharp kernel."""
    image = _blurred(image, drawn.blur / grid.spacing[2])
    if drawn.sharpness > 0:
        wide = _blurred(image, 0.9 / grid.spacing[2])
        image = image + np.float32(drawn.sharpness) * (image - wide)
    return image


def _blurred(image: Floats, x: float, y: float = 0) -> Floats:
    """The image smoothed over x and y (default: as x) pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigmaX=x, sigmaY=y), np.float32)


def _noise(grid: Grid, drawn: Parameters, rng: np.random.Generator) -> Floats:
    """Noise whose spectrum rises from zero and falls again, and streaks along x.

    A difference of Gaussians of white noise: its power rises with the square of the frequency, as
    that of filtered back-projection does, up to a peak that the size of the grain decides.
    """
    white = rng.standard_normal(grid.shape[1:], dtype=np.float32)
    size = drawn.noise_size / grid.spacing[2]
    noise = _blurred(white, size)
    noise = noise - np.float32(0.8) * _blurred(noise, 1.8 * size)
    noise *= np.float32(drawn.noise) / noise.std()
    if drawn.streaks > 0:
        rows = rng.standard_normal((grid.shape[1], 24), dtype=np.float32)
        rows = _blurred(rows, 2.0, 1.0 / grid.spacing[1])
        lines = cv2.resize(rows, grid.shape[:0:-1], interpolation=cv2.INTER_LINEAR)
        noise += np.float32(drawn.streaks) * lines / lines.std()
    return noise
