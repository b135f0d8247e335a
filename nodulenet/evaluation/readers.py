"""The masks of a scan's nodules and of their readers, and how well the readers agree."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from nodulenet.evaluation.masks import (
    ABSOLUTE,
    DISTANCES,
    SCORES,
    compare_masks,
    mean_by_nodule,
    mean_of,
)
from nodulenet.evaluation.tables import Origin, stamp_of, stamped, write_scores
from nodulenet.evaluation.truth import ScoredScan, read_cohort, read_findings
from nodulenet.files import InputError, write_json
from nodulenet.imaging.findings import OUTLINED
from nodulenet.imaging.masks import resample_mask
from nodulenet.imaging.nodule_store import read_readers
from nodulenet.imaging.store import open_scan
from nodulenet.masks import NO_MASK, CroppedMask
from nodulenet.progress import track

CONSENSUS = "consensus"
PAIR_COLUMNS = ("series_uid", "fold", "label", "diameter_mm", "reader", "against", *SCORES)
OVERLAPS = ("dice", "iou")
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ScanMasks:
    """Masks of a scan's nodules 1, 2, ... in a volume of `shape` with voxels of `voxel_mm`.

    nodules: the consensus, at most one label per voxel. readers: for each nodule, number of a
    reading session of its scan (from 1) -> what that reader outlined, which may overlap other
    nodules; empty for a nodule without outlines. shape and voxel_mm: (z, y, x). outlined: whether
    the nodules are what readers drew, not cubes.
    """

    nodules: list[CroppedMask]
    readers: list[dict[int, CroppedMask]]
    shape: tuple[int, ...]
    voxel_mm: NDArray[np.float64]
    outlined: bool = True


def read_scan_masks(scan: ScoredScan, findings: pd.DataFrame) -> ScanMasks:
    """Read a scan's labels and its readers' masks, which are resampled as the consensus was.

    A reader's mask without a voxel in the volume is kept, empty, and logged. Raises
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
    voxel_mm = np.linalg.norm(affine[:3, :3], axis=0)
    return ScanMasks(nodules, readers, labels.shape, voxel_mm, record.get("outlined", True))


def nodule_masks(labels: NDArray, count: int, name: str = "labels") -> list[CroppedMask]:
    """The masks of the nodules 1 .. `count` of an array of labels (z, y, x), each at its box.

    A nodule without a voxel has an empty mask. Raises `InputError` for a label above `count`.
    """
    boxes = ndimage.find_objects(labels)
    if len(boxes) > count:
        raise InputError(f"{name}: label {len(boxes)} in a scan of {count} nodule(s)")
    boxes += [None] * (count - len(boxes))
    return [
        NO_MASK
        if box is None
        else CroppedMask(labels[box] == label, (box[0].start, box[1].start, box[2].start))
        for label, box in enumerate(boxes, 1)
    ]


def score_readers(manifest: Path, folds: Path, origin: Origin, output: Path) -> None:
    """Write reader_pairs.csv and its means, reader_pairs.json, into the folder `output`.

    Raises `InputError` naming file and fault.
    """
    scored = [scan for scan in read_cohort(manifest, folds) if scan.nodules > 0]
    table = compare_readers(scored, read_findings(scored))
    stamp = stamp_of(origin, len(scored), sum(scan.nodules for scan in scored))
    write_scores(stamped(table, stamp), output / "reader_pairs.csv")
    write_json(output / "reader_pairs.json", summarize_pairs(table) | {"stamp": asdict(stamp)})


def compare_readers(
    scored: Sequence[ScoredScan], findings: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Rows of reader_pairs.csv: every reader of every nodule against each later one and the
    consensus (of which that reader is a part).

    Only readers who outlined the nodule are compared; their outlines overlap, since overlap is the
    criterion for one nodule. Raises `InputError` as `read_scan_masks`.
    """
    rows: list[dict[str, Any]] = []
    for scan in track(scored, "compare readers", "scans"):
        own = findings[scan.series_uid]
        rows += with_nodule(pair_readers(read_scan_masks(scan, own)), scan, own)
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def with_nodule(
    rows: Sequence[dict[str, Any]], scan: ScoredScan, findings: pd.DataFrame
) -> list[dict[str, Any]]:
    """Rows on the nodules of a scan, with its series and fold and the nodule's diameter in mm."""
    diameters = findings.loc[findings["kind"] == "nodule", "diameter_mm"].tolist()
    place = {"series_uid": scan.series_uid, "fold": scan.fold}
    return [place | {"diameter_mm": diameters[row["label"] - 1]} | row for row in rows]


def pair_readers(truth: ScanMasks) -> list[dict[str, Any]]:
    """One scan's rows: label, reader, against (a later reader, or "consensus") and the scores."""
    rows: list[dict[str, Any]] = []
    for label, (nodule, outlines) in enumerate(zip(truth.nodules, truth.readers, strict=True), 1):
        pairs = [(a, str(b), outlines[b]) for a, b in combinations(outlines, 2)]
        pairs += [(reader, CONSENSUS, nodule) for reader in outlines]
        for reader, name, other in pairs:
            scores = compare_masks(outlines[reader], other, truth.voxel_mm)
            rows.append({"label": label, "reader": reader, "against": name} | scores)
    return rows


def summarize_pairs(table: pd.DataFrame) -> dict[str, Any]:
    """Means over the rows of reader_pairs.csv: `readers`, one against another (the human level) and
    each against the `consensus`; first over the pairs of each nodule, then over the nodules.
    Volume errors are given for the latter only: of two readers neither is the reference.
    """
    alone = table["against"] == CONSENSUS
    content: dict[str, Any] = {}
    for name, rows, scores in (
        ("readers", table[~alone], OVERLAPS + DISTANCES),
        ("consensus", table[alone], (*SCORES, ABSOLUTE)),
    ):
        means = mean_by_nodule(rows)
        content[name] = {"nodules": len(means), "pairs": len(rows)}
        content[name] |= {score: mean_of(means[score]) for score in scores}
    return content
