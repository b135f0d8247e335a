"""The scans of a training set and the crops of an epoch."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from nodulenet.cohort import read_folds, read_manifest
from nodulenet.imaging.store import map_array, open_scan
from nodulenet.training.crops import Augmentation, cut_crop, plan_crop
from nodulenet.training.sharing import MicroBatch

Crop = tuple[NDArray[np.uint8], NDArray[np.integer]]
"""Image and labels, of one crop (z, y, x) or several (crops, z, y, x)."""

STEPS_AHEAD = 1


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One scan: the files of its volume, labels and record, and its nodules.

    The arrays, of `shape` (z, y, x), are opened for each crop: a process may hold far fewer files
    open than a cohort has scans. centres: (n, 3) voxels; extents: (n,) the largest side of each
    nodule's box, voxels.
    """

    series_uid: str
    volume: Path
    labels: Path
    record: Path
    shape: tuple[int, ...]
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
    """Find the nodules of the artefacts that a manifest row names, relative to `root`."""
    volume, mask, record = (root / row[name] for name in ("volume", "mask", "record"))
    shape = open_scan(volume, record)[0].shape
    boxes = find_nodules(mask, record)
    centres = [[(s.start + s.stop - 1) / 2 for s in box] for box in boxes]
    extents = [max(s.stop - s.start for s in box) for box in boxes]
    return TrainingScan(
        row["series_uid"],
        volume,
        mask,
        record,
        shape,
        np.reshape(centres, (-1, 3)),
        np.array(extents, float),
    )


def find_nodules(mask: Path, record: Path) -> list[tuple[slice, ...]]:
    """The box of each label; nothing is searched for where the record says none was painted."""
    labels, _, made = open_scan(mask, record)
    painted = made.get("nodules")
    if painted is not None and not any(nodule["voxels"] for nodule in painted.values()):
        return []
    return [found for found in find_objects(labels) if found is not None]


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
) -> Crop:
    """Cut one augmented crop: image uint8 and labels, (size, size, size)."""
    scan = scans[sample.scan]
    if sample.nodule is None:
        centre, extent = rng.uniform(0, np.array(scan.shape) - 1), 0.0
    else:
        centre, extent = scan.centres[sample.nodule], scan.extents[sample.nodule]
    plan = plan_crop(centre, extent, size, settings, rng)
    volume, labels = (
        map_array(path, scan.record, scan.shape) for path in (scan.volume, scan.labels)
    )
    return cut_crop(volume, labels, plan, pad_value, settings.rotation_fill)


def cut_ahead(
    steps: Iterable[Sequence[MicroBatch]], cut: Callable[[int], Crop], workers: int
) -> Iterator[list[Crop]]:
    """Images and labels (crops, z, y, x) of the micro-batches of every step, in order.

    `cut` makes a crop by its number; `workers` threads do it, a step ahead of its use.
    """
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[list[list[Future[Crop]]]] = deque()
        for step in steps:
            ahead.append([[pool.submit(cut, k) for k in range(m.first, m.stop)] for m in step])
            if len(ahead) > STEPS_AHEAD:
                yield [stack_crops(futures) for futures in ahead.popleft()]
        while ahead:
            yield [stack_crops(futures) for futures in ahead.popleft()]


def stack_crops(futures: Sequence[Future[Crop]]) -> Crop:
    """Wait for crops; their images and labels (crops, z, y, x)."""
    images, labels = zip(*(future.result() for future in futures), strict=True)
    return np.stack(images), np.stack(labels)
