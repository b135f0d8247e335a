"""The scans of a training set, and one augmented crop of one of them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from nodulenet.cohort import read_folds, read_manifest
from nodulenet.imaging.store import map_array, open_scan
from nodulenet.settings import Recipe
from nodulenet.training.crops import cut_crop, plan_crop

Crop = tuple[NDArray[np.uint8], NDArray[np.integer]]
"""Image and labels, of one crop (z, y, x) or several (crops, z, y, x)."""


@dataclass(frozen=True, eq=False)
class TrainingScan:
    """One scan: the files of its volume, labels and record, and its nodules.

    The arrays, of `shape` (z, y, x), are opened for each crop: a process may have far fewer open
    files than a cohort has scans. centres: (n, 3) voxels; extents: (n,) the largest side of each
    nodule's box, voxels. outlined: whether its labels are what readers drew, not boxes. unsized:
    labels of nodules of unknown size, whose boxes are no example of a size.
    """

    series_uid: str
    volume: Path
    labels: Path
    record: Path
    shape: tuple[int, ...]
    centres: NDArray[np.float64]
    extents: NDArray[np.float64]
    outlined: bool = True
    unsized: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Sample:
    """The source of a crop: a scan, and a nodule in it or None for a random position."""

    scan: int
    nodule: int | None


def load_training_scans(manifest: Path, folds: Path, fold: int) -> list[TrainingScan]:
    """Every usable scan outside `fold`, in the manifest's order."""
    table, fold_of = read_manifest(manifest), read_folds(folds)
    training = set(fold_of.loc[fold_of.fold != fold, "series_uid"])
    root = Path(manifest).parent
    rows = table.to_dict("records")
    return [load_scan(root, row) for row in rows if row["series_uid"] in training]


def load_scan(root: Path, row: Mapping[Hashable, Any]) -> TrainingScan:
    """Find the nodules of the artefacts that a manifest row names, relative to `root`."""
    volume, mask, record = (root / row[name] for name in ("volume", "mask", "record"))
    array, _, made = open_scan(volume, record)
    boxes = label_boxes(mask, record)
    centres = [[(s.start + s.stop - 1) / 2 for s in box] for box in boxes]
    extents = [max(s.stop - s.start for s in box) for box in boxes]
    return TrainingScan(
        row["series_uid"],
        volume,
        mask,
        record,
        array.shape,
        np.reshape(centres, (-1, 3)),
        np.array(extents, float),
        made.get("outlined", True),
        frozenset(made.get("unsized", [])),
    )


def label_boxes(mask: Path, record: Path) -> list[tuple[slice, ...]]:
    """The box of each label; a mask is not searched if its record says that it is empty."""
    labels, _, made = open_scan(mask, record)
    painted = made.get("nodules")
    if painted is not None and not any(nodule["voxels"] for nodule in painted.values()):
        return []
    return [found for found in find_objects(labels) if found is not None]


def cut_sample(
    scans: Sequence[TrainingScan],
    sample: Sample,
    settings: Recipe,
    rng: np.random.Generator,
) -> Crop:
    """Cut one augmented crop: image uint8 and labels, (z, y, x) of side `train.crop`."""
    scan, augment = scans[sample.scan], settings.augment
    if sample.nodule is None:
        centre, extent = rng.uniform(0, np.array(scan.shape) - 1), 0.0
    else:
        centre, extent = scan.centres[sample.nodule], scan.extents[sample.nodule]
    plan = plan_crop(centre, extent, settings.train.crop, augment, rng)
    volume, labels = (
        map_array(path, scan.record, scan.shape) for path in (scan.volume, scan.labels)
    )
    return cut_crop(volume, labels, plan, settings.preprocess.pad_value, augment.rotation_fill)
