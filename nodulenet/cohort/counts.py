"""Count marks and consensus nodules of a whole corpus, a series at a time."""

from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from nodulenet.annotations import Group, Merge, Protocol, consensus, count_levels
from nodulenet.annotations.slices import ZRule
from nodulenet.cohort.corpus import Passed, PlacedReading, read_corpus
from nodulenet.files import InputError

COUNTS = ("series_uid", "marks", "n1", "n2", "n3", "n4")
LEVELS = (1, 2, 3, 4)


def count_corpus(
    annotations: Path | None,
    scans: Path | None,
    iou_threshold: float = 0.4,
    z: ZRule = "nearest",
    protocol: Protocol = "nodulenet",
    merge: Merge = "union",
) -> tuple[pd.DataFrame, Passed, Passed]:
    """Marks >= 3 mm and groups of level >= 1 to 4 of every series, what was not used, and notes.

    annotations, scans and errors: as of `read_corpus`. Columns: series_uid, marks, n1, n2, n3,
    n4. Given third is what the groups note, exceptions to the rules of protocol and merge.
    """
    passed: Passed = []
    notes: Passed = []
    rows = []
    for placed in read_corpus(annotations, scans, passed):
        groups = placed_consensus(placed, iou_threshold, z, protocol, merge)
        sessions = placed.reading.sessions
        marks = sum(mark.kind == "nodule" for session in sessions for mark in session.marks)
        rows.append((placed.reading.series_uid, marks, *count_levels(groups)))
        notes += [(Path(placed.source), note) for group in groups for note in group.notes]
    table = pd.DataFrame(rows, columns=list(COUNTS)).sort_values("series_uid", ignore_index=True)
    return table, passed, notes


def measure_protocols(
    annotations: Path | None,
    scans: Path | None,
    iou_threshold: float = 0.4,
    z: ZRule = "nearest",
) -> pd.DataFrame:
    """Nodules and their median volume at each level, under each protocol and merge.

    Arguments and errors as of `read_corpus`. Columns: protocol, merge, level (at least), nodules,
    median_volume_mm3 (NaN without nodules). A volume is that of the group's mask in the scan's
    own grid.
    """
    rules = list(product(get_args(Protocol), get_args(Merge)))
    found: dict[tuple[Protocol, Merge], list[tuple[int, float]]] = {rule: [] for rule in rules}
    for placed in read_corpus(annotations, scans, []):
        for protocol, merge in rules:
            groups = placed_consensus(placed, iou_threshold, z, protocol, merge)
            sizes = [(group.level, group.mask.sum() * placed.voxel_mm3) for group in groups]
            found[protocol, merge] += sizes
    rows = []
    for (protocol, merge), sizes in found.items():
        for level in LEVELS:
            volumes = [volume for own, volume in sizes if own >= level]
            median = float(np.median(volumes)) if volumes else np.nan
            rows.append((protocol, merge, level, len(volumes), median))
    columns = ["protocol", "merge", "level", "nodules", "median_volume_mm3"]
    return pd.DataFrame(rows, columns=columns)


def placed_consensus(
    placed: PlacedReading,
    iou_threshold: float = 0.4,
    z: ZRule = "nearest",
    protocol: Protocol = "nodulenet",
    merge: Merge = "union",
) -> list[Group]:
    """All groups of one reading of a corpus. Raises `InputError` naming its source."""
    sessions = placed.reading.sessions
    try:
        return consensus(sessions, placed.geometry, 1, iou_threshold, z, protocol, merge)
    except InputError as error:
        raise InputError(f"{placed.source}: {error}") from error
