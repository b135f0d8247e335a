"""Synthetic chest volumes with nodules, for benchmarks without data."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def draw_volume(
    shape: tuple[int, int, int], nodules: int, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A uint8 volume (z, y, x) of noise with bright balls and tubes, and the balls' labels."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, 40, np.float32)
    labels = np.zeros(shape, np.uint8)
    for label in range(1, nodules + 1):
        radius = rng.uniform(2.5, 8)
        centre = [rng.uniform(20, n - 20) for n in shape]
        low = [int(c - radius) for c in centre]
        size = int(2 * radius) + 2
        grid = np.indices((size,) * 3) + np.reshape(low, (3, 1, 1, 1))
        ball = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2
        box = tuple(slice(a, a + size) for a in low)
        labels[box][ball] = label
        image[box][ball] = 190
    y, x = np.indices(shape[1:])
    for _ in range(shape[1] * shape[2] // 2000):
        b, c, radius = rng.uniform(0, shape[1]), rng.uniform(0, shape[2]), rng.uniform(1, 3)
        image[:, (y - b) ** 2 + (x - c) ** 2 < radius**2] = 190
    image = gaussian_filter(image, 0.7) + rng.normal(0, 8, shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8), labels
