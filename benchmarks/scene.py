"""Synthetic chest volumes with nodules, for benchmarks without data."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nodulenet.imaging import Volume, write_scan
from nodulenet.model.objective import Crops
from nodulenet.model.targets import padded_truth, truth_boxes
from nodulenet.training.dataset import TrainingScan


def draw_volume(
    shape: tuple[int, int, int], nodules: int, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A uint8 volume (z, y, x) of noise with bright balls and tubes, and the balls' labels."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, 40, np.float32)
    labels = np.zeros(shape, np.uint8)
    for label in range(1, nodules + 1):
        radius = rng.uniform(2.5, 8)
        centre = [rng.uniform(min(20, n / 3), max(n - 20, n * 2 / 3)) for n in shape]
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


def draw_crops(count: int, side: int, nodules: int, device: str, seed: int = 0) -> Crops:
    """A training batch of volumes of `side` voxels with so many nodules each."""
    drawn = [draw_volume((side,) * 3, nodules, seed + k) for k in range(count)]
    images, labels = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    masks = labels > 0
    arrays = (
        images[:, None],
        masks[:, None],
        *padded_truth([truth_boxes(crop) for crop in labels]),
        np.arange(seed, seed + count),
    )
    image, nodule, *truth = (torch.from_numpy(array).to(device) for array in arrays)
    return Crops(image, nodule, masks, *truth)


def draw_scans(folder: Path, count: int, side: int) -> list[TrainingScan]:
    """Training scans of `side` voxels with two nodules each, as files of a folder."""
    scans = []
    for number in range(count):
        volume, labels = draw_volume((side,) * 3, 2, number)
        files = {name: folder / f"{number}_{name}" for name in ("volume", "mask", "record")}
        write_scan(files, Volume(volume, np.eye(4)), labels, {})
        boxes = truth_boxes(labels, 0).boxes
        place = labels.shape, boxes[:, :3].astype(float), boxes[:, 3:].max(1).astype(float)
        scans.append(TrainingScan(str(number), *files.values(), *place))
    return scans
