"""The masks of a scan's nodules, and of their readers, in the grid of its volume."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.evaluation.inputs import ScoredScan
from nodulenet.evaluation.mask_choice import nodule_masks
from nodulenet.files import InputError
from nodulenet.imaging.findings import OUTLINED
from nodulenet.imaging.masks import resample_mask
from nodulenet.imaging.nodule_store import read_readers
from nodulenet.imaging.store import open_scan
from nodulenet.masks import CroppedMask

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ScanMasks:
    """Masks of a scan's nodules 1, 2, ... in a volume of `shape` with voxels of `voxel_mm`.

    nodules: the consensus, at most one label a voxel. readers: for each nodule, number of a
    reading session of its scan (from 1) -> what that reader outlined, which may overlap other
    nodules; empty for a nodule without outlines. shape and voxel_mm: (z, y, x).
    """

    nodules: list[CroppedMask]
    readers: list[dict[int, CroppedMask]]
    shape: tuple[int, ...]
    voxel_mm: NDArray[np.float64]


def read_scan_masks(scan: ScoredScan, findings: pd.DataFrame) -> ScanMasks:
    """Read a scan's labels and its readers' masks, these resampled as the consensus was.

    A reader's mask that has no voxel in the volume is kept, empty, and logged. Raises
    `InputError` naming the file and the fault.
    """
    labels, affine, record = open_scan(scan.mask, scan.record)
    try:
        source = np.array(record["source_affine"], float).reshape(4, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{scan.record}: bad or missing source_affine: {error}") from error
    label_of = findings.loc[findings["kind"].isin(OUTLINED), "label"].tolist()
    readers: list[dict[int, CroppedMask]] = [{} for _ in range(scan.nodules)]
    for own in read_readers(scan.outlines):
        if own.group >= len(label_of):
            raise InputError(f"{scan.outlines}: group {own.group + 1} is not in {scan.findings}")
        label, reader = label_of[own.group], own.session + 1
        if label > 0:
            outline = resample_mask(own.mask, source, affine, labels.shape)
            readers[label - 1][reader] = outline
            if not outline.mask.size:
                where = f"scan {scan.series_uid}: nodule {label}, reader {reader}"
                log.warning("%s: the outline has no voxel in the volume", where)
    nodules = nodule_masks(labels, scan.nodules, str(scan.mask))
    return ScanMasks(nodules, readers, labels.shape, np.linalg.norm(affine[:3, :3], axis=0))
