"""Prediction of the held-out scans of a fold."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nodulenet.ahead import made_ahead
from nodulenet.cohort import read_folds, read_manifest
from nodulenet.files import own_artefact, write_json
from nodulenet.imaging import Volume, restore_mask, write_volume
from nodulenet.imaging.store import open_scan
from nodulenet.inference.predictor import Member, Predictor, load_members
from nodulenet.inference.table import prediction_table, write_predictions
from nodulenet.inference.tiles import predict_volume
from nodulenet.masks import CroppedMask, write_masks
from nodulenet.model.compatibility import check_preprocess
from nodulenet.model.device import choose_device
from nodulenet.model.gpu_lock import hold_devices
from nodulenet.progress import track_logged
from nodulenet.settings import Branch, InferenceSettings, PreprocessSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionJob:
    """A fold to predict: its tables, the networks trained without it, and the output folder.

    weights: the files of the networks; several predict as one ensemble. branches: those of the
    weights' branches to predict with; device, amp: as in the config's section `train`.
    """

    manifest: Path
    folds: Path
    fold: int
    weights: Sequence[Path]
    output: Path
    branches: Sequence[Branch]
    settings: InferenceSettings
    device: Literal["auto", "cpu", "cuda"] = "auto"
    amp: bool = True


def predict_fold(job: PredictionJob, threads: int) -> None:
    """Predict every usable scan of a fold; write the results into the job's output folder.

    Writes predictions.csv, predictions.json (scans and numbers of candidates) and, with the branch
    sr, masks/{series}.nii.gz in the scan's own grid and masks/{series}.npz in the preprocessed one;
    a mask's label is the number of its row, counted from 1. Raises `InputError` for a scan with
    other preprocessing than the weights were trained with.
    """
    torch.set_num_threads(threads)
    kind = choose_device(job.device).type
    with hold_devices(kind, 1) as [device]:
        predict_on(device, job)


def predict_on(device: torch.device, job: PredictionJob) -> None:
    """`predict_fold` on a given device."""
    members = [
        replace(one, provenance=replace(one.provenance, branches=tuple(job.branches)))
        for one in load_members(job.weights, device)
    ]
    predictor, trained = Predictor(members, job.settings, job.amp), members[0].provenance
    rows = rows_of_fold(job.manifest, job.folds, job.fold)
    (job.output / "masks").mkdir(parents=True, exist_ok=True)
    name = f"fold {job.fold} {trained.stage}"
    tables, done = [], 0
    scans = read_ahead(rows, members[0], job.manifest)
    for uid, volume, record in track_logged(scans, name, "scans", len(rows)):
        prediction = predict_volume(predictor, volume.array)
        margin = trained.margin_total
        table, order = prediction_table(uid, prediction, volume, margin, job.fold)
        if "sr" in job.branches:
            numbers = {int(c): done + k for k, c in enumerate(order, 1)}
            masks = {numbers[c]: mask for c, mask in prediction.masks.items()}
            write_scan_masks(masks, volume, record, job.output / "masks" / uid)
        tables.append(table)
        done += len(table)
        log.info("%s scan %s: %d candidates", name, uid, len(table))
    write_predictions([table for table in tables if len(table)], job.output / "predictions.csv")
    series = [str(row["series_uid"]) for row in rows]
    candidates = dict(zip(series, map(len, tables), strict=True))
    summary = {"fold": job.fold, "stage": trained.stage, "scans": series, "candidates": candidates}
    write_json(job.output / "predictions.json", summary)


def rows_of_fold(manifest: Path, folds: Path, fold: int) -> list[dict[Hashable, Any]]:
    """The manifest's rows of the usable scans of a fold."""
    fold_of = read_folds(folds)
    mine = set(fold_of.loc[fold_of.fold == fold, "series_uid"])
    return [row for row in read_manifest(manifest).to_dict("records") if row["series_uid"] in mine]


@dataclass(frozen=True, eq=False)
class FileGrid:
    """The grid of a scan's own file: index (z, y, x) to LPS in mm, and its shape."""

    affine: NDArray[np.float64]
    shape: tuple[int, ...]


def read_ahead(
    rows: Sequence[Mapping[Hashable, Any]], member: Member, manifest: Path
) -> Iterator[tuple[str, Volume, FileGrid]]:
    """Series, volume and grid of the manifest's rows; the next is read while one is predicted.

    Raises as `open_prepared`.
    """

    def read(row: Mapping[Hashable, Any]) -> tuple[str, Volume, FileGrid]:
        volume, stored = open_prepared(row, member, manifest.parent)
        # The copy reads the mapped file in this thread.
        return str(row["series_uid"]), Volume(np.array(volume.array), volume.affine), stored

    with ThreadPoolExecutor(1) as pool:
        for reading in made_ahead((pool.submit(read, row) for row in rows), 1):
            yield reading.result()


def open_prepared(
    row: Mapping[Hashable, Any], member: Member, root: Path
) -> tuple[Volume, FileGrid]:
    """The preprocessed volume of a manifest's row, and the grid of the scan's own file.

    Raises `InputError` unless its preprocessing is that which the network was trained with,
    `CorruptArtefact` for a record without it.
    """
    path = root / row["record"]
    volume, affine, record = open_scan(root / row["volume"], path)
    with own_artefact(path):
        prepared = PreprocessSettings.model_validate(record["preprocess"])
        stored = FileGrid(np.array(record["stored_affine"]), tuple(record["stored_shape"]))
    check_preprocess(member.provenance, prepared, member.path, f"scan {row['series_uid']} was")
    return Volume(volume, affine), stored


def write_scan_masks(
    masks: Mapping[int, CroppedMask], grid: Volume, stored: FileGrid, stem: Path
) -> None:
    """Write one scan's masks: cropped in the preprocessed grid, and as labels in its file's grid.

    A voxel in several masks belongs to the first one given; the log names a mask that is left
    without a voxel.
    """
    write_masks(masks, stem.with_name(stem.name + ".npz"))
    kind = np.uint16 if max(masks, default=0) <= np.iinfo(np.uint16).max else np.uint32
    labels = np.zeros(stored.shape, kind)
    boxes = {}
    for number, m in reversed(list(masks.items())):
        restored = restore_mask(m, grid.affine, stored.affine, labels.shape)
        boxes[number] = restored.box
        labels[restored.box][restored.mask] = number
    for number, box in boxes.items():
        if not (labels[box] == number).any():
            log.info("%s: mask %d has no voxel of its own in the scan's grid", stem.name, number)
    write_volume(Volume(labels, stored.affine), stem.with_name(stem.name + ".nii.gz"))
