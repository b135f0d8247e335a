"""How well the readers of a nodule agree: with one another, and with their consensus."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from nodulenet.evaluation.inputs import ScoredScan
from nodulenet.evaluation.mask_scores import SCORES, compare_masks
from nodulenet.evaluation.scan_masks import ScanMasks, read_scan_masks
from nodulenet.progress import track

CONSENSUS = "consensus"
COLUMNS = ("series_uid", "fold", "label", "diameter_mm", "reader", "against", *SCORES)


def compare_readers(
    scored: Sequence[ScoredScan], findings: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Rows of reader_pairs.csv: every reader of every nodule against each later one and the
    consensus (of which that reader is a part).

    Only those who outlined the nodule are its readers; that they overlap is how they came to be
    one nodule. Raises `InputError` as `read_scan_masks`.
    """
    rows: list[dict[str, Any]] = []
    for scan in track(scored, "compare readers", "scans"):
        own = findings[scan.series_uid]
        diameters = own.loc[own["kind"] == "nodule", "diameter_mm"].tolist()
        place = {"series_uid": scan.series_uid, "fold": scan.fold}
        for row in pair_readers(read_scan_masks(scan, own)):
            rows.append(place | {"diameter_mm": diameters[row["label"] - 1]} | row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


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
