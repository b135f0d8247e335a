"""Which marks hit which nodules: the LUNA16 challenge's rules, applied scan by scan.

Setio et al., Validation, comparison, and combination of algorithms for automatic detection of
pulmonary nodules in computed tomography images: the LUNA16 challenge, Med Image Anal 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from nodulenet.annotations.challenge_csv import (
    FINDING_COLUMNS,
    MARK_COLUMNS,
    POSITION,
    UNKNOWN_DIAMETER_MM,
    check_numbers,
)
from nodulenet.evaluation.tables import check_scan_list, scan_positions

MARKS_PER_SCAN = 100


class Events(NamedTuple):
    """The events that a FROC is computed from, in descending order of probability.

    An event is a nodule found, at its best mark's probability, or a false positive. probability,
    scan (position in the list of scans), hit (whether a nodule is found): (E,). nodules: (S,) per
    scan.
    """

    probability: NDArray[np.float64]
    scan: NDArray[np.int64]
    hit: NDArray[np.bool_]
    nodules: NDArray[np.int64]

    @property
    def found(self) -> int:
        """Number of nodules that a mark hit."""
        return int(self.hit.sum())

    @property
    def false_positives(self) -> int:
        """Number of marks that hit nothing."""
        return int((~self.hit).sum())


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The outcome of matching the marks.

    mark: (E,) position in the marks' table of each event. best, best_mark: (N,) probability and
    position of each nodule's best mark (of equal ones the first of the table) in the order of the
    nodules' table, NaN and -1 where it was missed. on_excluded: marks dropped because they hit an
    excluded finding. marks_cut, scans_cut: marks that do not count because their scan has more
    than 100, and the number of such scans.
    """

    events: Events
    mark: NDArray[np.int64]
    best: NDArray[np.float64]
    best_mark: NDArray[np.int64]
    on_excluded: int
    marks_cut: int
    scans_cut: int


class _Spheres(NamedTuple):
    """Findings as spheres: centre (N, 3) and squared radius (N,) in mm, position of the scan."""

    centre: NDArray[np.float64]
    squared_radius: NDArray[np.float64]
    scan: NDArray[np.intp]


def match_marks(
    nodules: pd.DataFrame, excluded: pd.DataFrame, marks: pd.DataFrame, scans: Sequence[str]
) -> Outcomes:
    """Match marks with nodules and excluded findings.

    A mark hits a finding if it is closer to its centre than the radius (a negative diameter counts
    as 10 mm). A nodule's best mark counts; a mark that hits a nodule is not a false positive; of
    the others those that hit an excluded finding are dropped. Of more than 100 marks in a scan only
    those with a probability strictly above the 101st's count.

    nodules, excluded: columns seriesuid, coordX, coordY, coordZ, diameter_mm; marks: probability
    for the diameter; positions and diameters in mm. Raises `InputError` for a missing column, a
    number that is not finite, a scan that is not in the list or appears there twice.
    """
    check_scan_list(scans, "scans")
    check_numbers(nodules, FINDING_COLUMNS, "nodules")
    check_numbers(excluded, FINDING_COLUMNS, "excluded")
    check_numbers(marks, MARK_COLUMNS, "marks")
    spheres = _spheres(nodules, scans, "nodules")
    scan_of = scan_positions(marks, scans, "marks")
    kept, mark_scan = _strongest(marks, scan_of)
    cut = np.delete(scan_of, kept)
    at = marks[list(POSITION)].to_numpy(float)[kept]
    probability = marks["probability"].to_numpy(float)[kept]
    first = np.searchsorted(mark_scan, np.arange(len(scans) + 1))
    best, best_mark, on_nodule = _hits(spheres, at, probability, first)
    _, _, on_finding = _hits(_spheres(excluded, scans, "excluded"), at, probability, first)
    false = ~on_nodule & ~on_finding
    found = best_mark >= 0
    best_mark[found] = kept[best_mark[found]]
    event_probability = np.concatenate([best[found], probability[false]])
    order = np.argsort(-event_probability, kind="stable")
    events = Events(
        probability=event_probability[order],
        scan=np.concatenate([spheres.scan[found], mark_scan[false]])[order],
        hit=(np.arange(len(order)) < found.sum())[order],
        nodules=np.bincount(spheres.scan, minlength=len(scans)),
    )
    return Outcomes(
        events,
        mark=np.concatenate([best_mark[found], kept[false]])[order],
        best=best,
        best_mark=best_mark,
        on_excluded=int((on_finding & ~on_nodule).sum()),
        marks_cut=len(cut),
        scans_cut=len(np.unique(cut)),
    )


def _strongest(
    marks: pd.DataFrame, scan: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position in the table and scan of the marks that count, by scan and descending
    probability."""
    probability = marks["probability"].to_numpy(float)
    order = np.lexsort((-probability, scan))
    scan, probability = scan[order], probability[order]
    first = np.searchsorted(scan, scan)
    limit = first + MARKS_PER_SCAN
    last = np.searchsorted(scan, scan, side="right") - 1
    counts = (limit > last) | (probability > probability[np.minimum(limit, last)])
    return order[counts], scan[counts]


def _spheres(findings: pd.DataFrame, scans: Sequence[str], name: str) -> _Spheres:
    scan = scan_positions(findings, scans, name)
    diameter = findings["diameter_mm"].to_numpy(float)
    radius = np.where(diameter < 0, UNKNOWN_DIAMETER_MM, diameter) / 2
    return _Spheres(findings[list(POSITION)].to_numpy(float), radius**2, scan)


@njit(cache=True, nogil=True)
def _hits(
    spheres: _Spheres, at: NDArray, probability: NDArray, first: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Best probability per finding (NaN where missed) and its mark (-1), and which marks hit any.

    first: marks first[s]:first[s + 1] belong to scan s.
    """
    centre, squared_radius, scan = spheres
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
