"""The scans of a training set, and one augmented crop of one of them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from nodulenet.annotations.challenge_csv import MARK_COLUMNS, POSITION, read_table
from nodulenet.cohort import read_folds, read_manifest
from nodulenet.files import own_artefact
from nodulenet.imaging import Volume
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
    labels of nodules of unknown size, whose boxes are no example of a size. negatives: (m, 3)
    voxels, the hard negatives.
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
    negatives: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))


@dataclass(frozen=True)
class Sample:
    """The source of a crop: a scan, and a nodule or a hard negative in it; a random position if
    both are None."""

    scan: int
    nodule: int | None = None
    negative: int | None = None


def load_training_scans(
    manifest: Path, folds: Path, fold: int, hard_negatives: Path | None = None
) -> list[TrainingScan]:
    """Every usable scan outside `fold`, in the manifest's order, with its hard negatives if there
    is a table of them."""
    table, fold_of = read_manifest(manifest), read_folds(folds)
    training = set(fold_of.loc[fold_of.fold != fold, "series_uid"])
    root = Path(manifest).parent
    rows = table.to_dict("records")
    chosen = [row for row in rows if row["series_uid"] in training]
    if not hard_negatives:
        return [load_scan(root, row) for row in chosen]
    with own_artefact(hard_negatives):
        marks = read_table(hard_negatives, MARK_COLUMNS)
    own = dict(list(marks.groupby("seriesuid")))
    return [load_scan(root, row, own.get(row["series_uid"])) for row in chosen]


def load_scan(
    root: Path, row: Mapping[Hashable, Any], negatives: pd.DataFrame | None = None
) -> TrainingScan:
    """Find the nodules of the artefacts that a manifest row names, relative to `root`.

    negatives: hard negatives of this scan, with the columns coordX, coordY and coordZ (LPS, mm).
    """
    volume, mask, record = (root / row[name] for name in ("volume", "mask", "record"))
    array, affine, made = open_scan(volume, record)
    boxes = label_boxes(mask, record)
    centres = [[(s.start + s.stop - 1) / 2 for s in box] for box in boxes]
    extents = [max(s.stop - s.start for s in box) for box in boxes]
    world = np.empty((0, 3)) if negatives is None else negatives[list(POSITION)].to_numpy(float)
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
        Volume(array, affine).to_voxel(world),
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
    if sample.nodule is not None:
        centre, extent = scan.centres[sample.nodule], scan.extents[sample.nodule]
    elif sample.negative is not None:
        centre, extent = scan.negatives[sample.negative], 0.0
    else:
        centre, extent = rng.uniform(0, np.array(scan.shape) - 1), 0.0
    plan = plan_crop(centre, extent, settings.train.crop, augment, rng)
    volume, labels = (
        map_array(path, scan.record, scan.shape) for path in (scan.volume, scan.labels)
    )
    return cut_crop(volume, labels, plan, settings.preprocess.pad_value, augment.rotation_fill)
