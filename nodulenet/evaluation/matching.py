"""Which marks hit which nodules: the LUNA16 challenge's rules, scan by scan.

Setio et al., Validation, comparison, and combination of algorithms for automatic detection of
pulmonary nodules in computed tomography images: the LUNA16 challenge, Med Image Anal 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from nodulenet.evaluation.tables import (
    FINDING_COLUMNS,
    MARK_COLUMNS,
    POSITION,
    check_columns,
    check_scans,
    scan_positions,
)

MARKS_PER_SCAN = 100
UNKNOWN_DIAMETER_MM = 10.0


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What the marks came to, in events by falling probability.

    probability, scan, hit, mark: (E,) an event is a nodule found, at its best mark's probability,
    or a false positive; `scan` is the position in the list of scans, `mark` in the marks' table.
    nodules: (S,) nodules a scan. best, best_mark: (N,) probability and position of each nodule's
    best mark (of equal ones the first of the table) in the order of the nodules' table, NaN and -1
    where it was missed. on_excluded: marks dropped because they hit an excluded finding.
    marks_cut, scans_cut: marks that do not count because their scan has more than 100, and the
    scans that they are of.
    """

    probability: NDArray[np.float64]
    scan: NDArray[np.int64]
    hit: NDArray[np.bool_]
    mark: NDArray[np.int64]
    nodules: NDArray[np.int64]
    best: NDArray[np.float64]
    best_mark: NDArray[np.int64]
    on_excluded: int
    marks_cut: int
    scans_cut: int

    @property
    def found(self) -> int:
        """Number of nodules that a mark hit."""
        return int(self.hit.sum())

    @property
    def false_positives(self) -> int:
        """Number of marks that hit nothing."""
        return int((~self.hit).sum())


def match_marks(
    nodules: pd.DataFrame, excluded: pd.DataFrame, marks: pd.DataFrame, scans: Sequence[str]
) -> Outcomes:
    """Match marks with nodules and excluded findings.

    A mark hits a finding nearer than its radius (a negative diameter counts as 10 mm). A nodule's
    best mark counts; a mark that hits a nodule is no false positive; of the others those that hit
    an excluded finding are dropped. Of more than 100 marks in a scan only those with a
    probability strictly above the 101st's count.

    nodules, excluded: columns seriesuid, coordX, coordY, coordZ, diameter_mm; marks: probability
    for the diameter; positions and diameters in mm. Raises `InputError` for a missing column, a
    number that is not finite, a scan that is not in the list or stands there twice.
    """
    check_scans(scans, "scans")
    check_columns(nodules, FINDING_COLUMNS, "nodules")
    check_columns(excluded, FINDING_COLUMNS, "excluded")
    check_columns(marks, MARK_COLUMNS, "marks")
    nodule_scan = scan_positions(nodules, scans, "nodules")
    scan_of = scan_positions(marks, scans, "marks")
    kept, mark_scan = _strongest(marks, scan_of)
    cut = np.delete(scan_of, kept)
    at = marks[list(POSITION)].to_numpy(float)[kept]
    probability = marks["probability"].to_numpy(float)[kept]
    first = np.searchsorted(mark_scan, np.arange(len(scans) + 1))
    best, best_mark, on_nodule = _hits(*_spheres(nodules), nodule_scan, at, probability, first)
    excluded_scan = scan_positions(excluded, scans, "excluded")
    _, _, on_finding = _hits(*_spheres(excluded), excluded_scan, at, probability, first)
    false = ~on_nodule & ~on_finding
    found = best_mark >= 0
    best_mark[found] = kept[best_mark[found]]
    event_probability = np.concatenate([best[found], probability[false]])
    order = np.argsort(-event_probability, kind="stable")
    return Outcomes(
        probability=event_probability[order],
        scan=np.concatenate([nodule_scan[found], mark_scan[false]])[order],
        hit=(np.arange(len(order)) < found.sum())[order],
        mark=np.concatenate([best_mark[found], kept[false]])[order],
        nodules=np.bincount(nodule_scan, minlength=len(scans)),
        best=best,
        best_mark=best_mark,
        on_excluded=int((on_finding & ~on_nodule).sum()),
        marks_cut=len(cut),
        scans_cut=len(np.unique(cut)),
    )


def _strongest(
    marks: pd.DataFrame, scan: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position in the table and scan of the marks that count, by scan and falling probability."""
    probability = marks["probability"].to_numpy(float)
    order = np.lexsort((-probability, scan))
    scan, probability = scan[order], probability[order]
    first = np.searchsorted(scan, scan)
    limit = first + MARKS_PER_SCAN
    last = np.searchsorted(scan, scan, side="right") - 1
    counts = (limit > last) | (probability > probability[np.minimum(limit, last)])
    return order[counts], scan[counts]


def _spheres(findings: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (N, 3) and squared radii (N,) in mm."""
    diameter = findings["diameter_mm"].to_numpy(float)
    radius = np.where(diameter < 0, UNKNOWN_DIAMETER_MM, diameter) / 2
    return findings[list(POSITION)].to_numpy(float), radius**2


@njit(cache=True, nogil=True)
def _hits(
    centre: NDArray,
    squared_radius: NDArray,
    scan: NDArray,
    at: NDArray,
    probability: NDArray,
    first: NDArray,
) -> tuple[NDArray, NDArray, NDArray]:
    """Best probability a finding (NaN where missed) and its mark (-1), and which marks hit any.

    first: marks first[s]:first[s + 1] belong to scan s.
    """
    best = np.full(len(centre), np.nan)
    best_mark = np.full(len(centre), -1)
    hit = np.zeros(len(at), np.bool_)
    for i in range(len(centre)):
        for j in range(first[scan[i]], first[scan[i] + 1]):
            distance = 0.0
            for axis in range(3):
                distance += (at[j, axis] - centre[i, axis]) ** 2
            if distance < squared_radius[i]:
                hit[j] = True
                if not probability[j] <= best[i]:
                    best[i] = probability[j]
                    best_mark[i] = j
    return best, best_mark, hit
