"""Prediction of the held-out scans of a fold."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from nodulenet.cohort import read_folds, read_manifest
from nodulenet.files import write_json
from nodulenet.imaging import Volume, restore_mask, write_volume
from nodulenet.imaging.store import open_scan
from nodulenet.inference.scan import InferenceSettings, ScanPrediction, predict_scan
from nodulenet.inference.table import prediction_table, write_predictions
from nodulenet.inference.tiles import predict_tiled
from nodulenet.masks import CroppedMask, write_masks
from nodulenet.model.claim import hold_devices
from nodulenet.model.device import choose_device, to_device
from nodulenet.model.given import check_preprocess
from nodulenet.model.network import NoduleNet
from nodulenet.model.settings import Branch, DfpsSettings, SrSettings
from nodulenet.model.weights import Provenance, load_weights
from nodulenet.progress import track_logged

log = logging.getLogger(__name__)


def predict_fold(
    manifest: Path,
    folds: Path,
    fold: int,
    weights: Path,
    branches: Sequence[Branch],
    settings: Mapping[str, Any],
    output: Path,
    threads: int,
) -> None:
    """Predict every usable scan of `fold`; write the results into the folder `output`.

    branches: those of the weights' branches to predict with; settings: the config's sections
    `inference` and `train` (its device and precision). Writes predictions.csv, predictions.json
    (scans and numbers of candidates) and, with the branch sr, masks/{series}.nii.gz in the scan's
    own grid and masks/{series}.npz in the preprocessed one; a mask's label is the number of its
    row, counted from 1. Raises `InputError` for a scan that was prepared otherwise than those
    that the weights were trained on.
    """
    torch.set_num_threads(threads)
    kind = choose_device(settings["train"]["device"]).type
    with hold_devices(kind, 1) as [device]:
        predict_on(device, manifest, folds, fold, weights, branches, settings, output)


def predict_on(
    device: torch.device,
    manifest: Path,
    folds: Path,
    fold: int,
    weights: Path,
    branches: Sequence[Branch],
    settings: Mapping[str, Any],
    output: Path,
) -> None:
    """What `predict_fold` does, on a device."""
    net, trained = load_weights(weights)
    provenance = replace(trained, branches=tuple(branches))
    to_device(net.eval(), device)
    rows = rows_of_fold(manifest, folds, fold)
    (output / "masks").mkdir(parents=True, exist_ok=True)
    name = f"fold {fold} {provenance.stage}"
    tables: list[pd.DataFrame] = []
    done = 0
    for row in track_logged(rows, name, "scans"):
        uid = str(row["series_uid"])
        volume, affine, record = open_scan(
            manifest.parent / row["volume"], manifest.parent / row["record"]
        )
        check_preprocess(provenance, record.get("preprocess", {}), weights, f"scan {uid} was")
        prediction = predict_array(net, provenance, volume, settings)
        grid = Volume(volume, affine)
        table, order = prediction_table(uid, prediction, grid, margin_of(provenance), fold)
        if "sr" in provenance.branches:
            numbers = {int(c): done + k for k, c in enumerate(order, 1)}
            masks = {numbers[c]: mask for c, mask in prediction.masks.items()}
            write_scan_masks(masks, grid, record, output / "masks" / uid)
        tables.append(table)
        done += len(table)
        log.info("%s scan %s: %d candidates", name, uid, len(table))
    write_predictions([table for table in tables if len(table)], output / "predictions.csv")
    scans = [str(row["series_uid"]) for row in rows]
    candidates = dict(zip(scans, map(len, tables), strict=True))
    summary = {"fold": fold, "stage": provenance.stage, "scans": scans, "candidates": candidates}
    write_json(output / "predictions.json", summary)


def rows_of_fold(manifest: Path, folds: Path, fold: int) -> list[dict[Hashable, Any]]:
    """The manifest's rows of the usable scans of a fold."""
    held_out = read_folds(folds)
    mine = set(held_out.loc[held_out.fold == fold, "series_uid"])
    return [row for row in read_manifest(manifest).to_dict("records") if row["series_uid"] in mine]


def margin_of(provenance: Provenance) -> float:
    """Voxels that the network's boxes are larger than the nodules, along each axis."""
    return float(provenance.settings["targets"]["margin_total"])


def predict_array(
    net: NoduleNet,
    provenance: Provenance,
    volume: NDArray[np.uint8],
    settings: Mapping[str, Any],
) -> ScanPrediction:
    """Predict one preprocessed volume (z, y, x) under the settings the network was trained with."""
    trained = provenance.settings
    inference = InferenceSettings(**settings["inference"])

    def predict(part: NDArray[np.uint8]) -> ScanPrediction:
        return predict_scan(
            net,
            part,
            provenance.branches,
            inference,
            DfpsSettings(**trained["dfps"]),
            SrSettings(**trained["sr"]),
            settings["train"]["amp"],
        )

    if inference.tile is None:
        return predict(volume)
    return predict_tiled(predict, volume, inference.tile, inference)


def write_scan_masks(
    masks: Mapping[int, CroppedMask], grid: Volume, record: Mapping[str, Any], stem: Path
) -> None:
    """Write one scan's masks: cropped in the preprocessed grid, and as labels in its file's grid.

    Where two masks share a voxel of the scan, the first one given has it; the log names a mask
    that is left without a voxel there.
    """
    write_masks(masks, stem.with_name(stem.name + ".npz"))
    stored = np.array(record["stored_affine"])
    kind = np.uint16 if max(masks, default=0) <= np.iinfo(np.uint16).max else np.uint32
    labels = np.zeros(record["stored_shape"], kind)
    boxes = {}
    for number, m in reversed(list(masks.items())):
        restored = restore_mask(m, grid.affine, stored, labels.shape)
        boxes[number] = restored.box
        labels[restored.box][restored.mask] = number
    for number, box in boxes.items():
        if not (labels[box] == number).any():
            log.info("%s: mask %d has no voxel of its own in the scan's grid", stem.name, number)
    write_volume(Volume(labels, stored), stem.with_name(stem.name + ".nii.gz"))
