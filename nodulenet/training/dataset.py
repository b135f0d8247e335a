"""The scans of a training set and the crops of an epoch."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from nodulenet.cohort import read_folds, read_manifest
from nodulenet.imaging.store import open_scan
from nodulenet.training.crops import Augmentation, cut_crop, plan_crop


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One scan: volume and labels (z, y, x), memory-mapped, and its nodules.

    centres: (n, 3) voxels; extents: (n,) the largest side of each nodule's box, voxels.
    """

    series_uid: str
    volume: NDArray[np.uint8]
    labels: NDArray[np.integer]
    centres: NDArray[np.float64]
    extents: NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Where one crop comes from: a scan, and a nodule in it or None for a random place."""

    scan: int
    nodule: int | None


def load_training_scans(manifest: Path, folds: Path, fold: int) -> list[TrainingScan]:
    """Every usable scan outside `fold`, in the manifest's order."""
    table, held_out = read_manifest(manifest), read_folds(folds)
    training = set(held_out.loc[held_out.fold != fold, "series_uid"])
    root = Path(manifest).parent
    rows = table.to_dict("records")
    return [load_scan(root, row) for row in rows if row["series_uid"] in training]


def load_scan(root: Path, row: Mapping[Hashable, Any]) -> TrainingScan:
    """Open the artefacts that a manifest row names, relative to `root`."""
    volume, _, _ = open_scan(root / row["volume"], root / row["record"])
    labels, _, _ = open_scan(root / row["mask"], root / row["record"])
    boxes = [found for found in find_objects(labels) if found is not None]
    centres = [[(s.start + s.stop - 1) / 2 for s in box] for box in boxes]
    extents = [max(s.stop - s.start for s in box) for box in boxes]
    return TrainingScan(
        row["series_uid"], volume, labels, np.reshape(centres, (-1, 3)), np.array(extents, float)
    )


def epoch_samples(
    scans: Sequence[TrainingScan], random_crops: float, rng: np.random.Generator
) -> list[Sample]:
    """One sample a nodule, plus `random_crops` x nodules random ones, shuffled."""
    samples = [Sample(i, k) for i, scan in enumerate(scans) for k in range(len(scan.centres))]
    extra = round(random_crops * len(samples))
    samples += [Sample(int(i), None) for i in rng.integers(len(scans), size=extra)]
    return [samples[i] for i in rng.permutation(len(samples))]


def draw_sample(
    scans: Sequence[TrainingScan],
    sample: Sample,
    size: int,
    settings: Augmentation,
    pad_value: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Cut one augmented crop: image uint8 and labels, (size, size, size)."""
    scan = scans[sample.scan]
    if sample.nodule is None:
        centre, extent = rng.uniform(0, np.array(scan.volume.shape) - 1), 0.0
    else:
        centre, extent = scan.centres[sample.nodule], scan.extents[sample.nodule]
    plan = plan_crop(centre, extent, size, settings, rng)
    return cut_crop(scan.volume, scan.labels, plan, pad_value, settings.rotation_fill)


def batches(
    scans: Sequence[TrainingScan],
    samples: Sequence[Sample],
    batch: int,
    size: int,
    settings: Augmentation,
    pad_value: int,
    seed: Sequence[int],
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.integer]]]:
    """Images and labels (batch, z, y, x); every sample has its own generator, by its number."""
    for first in range(0, len(samples), batch):
        crops = [
            draw_sample(scans, sample, size, settings, pad_value, np.random.default_rng([*seed, k]))
            for k, sample in enumerate(samples[first : first + batch], first)
        ]
        images, labels = zip(*crops, strict=True)
        yield np.stack(images), np.stack(labels)
