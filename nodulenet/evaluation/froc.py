"""Free-response ROC: sensitivity against false positives per scan, as in LUNA16."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from nodulenet.evaluation.matching import Events, match_marks

Readout = Literal["challenge", "next_vertex"]
RATES = np.array([0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
CHALLENGE_GRID = np.linspace(0.125, 8, 10001)


@dataclass(frozen=True, eq=False)
class Froc:
    """A FROC curve, its operating points and the events that it was counted from.

    rate, recall: the curve's points, false positives per scan and share of nodules found, both
    rising from (0, 0). sensitivity: (7,) at 1/8, 1/4, 1/2, 1, 2, 4, 8 false positives per scan, cpm
    their mean; NaN without a nodule.
    """

    events: Events
    rate: NDArray[np.float64]
    recall: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    cpm: float
    readout: Readout


def froc(
    nodules: pd.DataFrame,
    excluded: pd.DataFrame,
    marks: pd.DataFrame,
    scans: Sequence[str],
    readout: Readout = "challenge",
) -> Froc:
    """Score marks against nodules over all listed scans, including those without marks.

    nodules, excluded: columns seriesuid, coordX, coordY, coordZ, diameter_mm; marks: probability
    for the diameter; mm. readout: `challenge` interpolates the curve linearly on 10,001 points
    and takes the one nearest to the rate; `next_vertex` takes the highest sensitivity at the
    curve's smallest rate >= the target. Raises as `match_marks`.
    """
    return score_events(match_marks(nodules, excluded, marks, scans).events, readout)


def score_events(events: Events, readout: Readout) -> Froc:
    """The curve of some events and its operating points."""
    rate, recall = froc_curve(events)
    sensitivity = read_curve(rate, recall, RATES, readout)
    return Froc(events, rate, recall, sensitivity, float(sensitivity.mean()), readout)


def froc_curve(events: Events) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False positives per scan and sensitivity, from (0, 0) on at each distinct probability."""
    last = last_of_equal(events.probability)
    return _curve(events, last, np.ones_like(events.nodules), np.inf)


def average_precision(events: Events) -> float:
    """Sum over the distinct probabilities of the step in recall times the precision there.

    There is no interpolation (Davis and Goadrich, The relationship between precision-recall and ROC
    curves, ICML 2006, explain why). Recall: share of all nodules, missed ones too, that are found
    at this probability or above. Precision: nodules found over nodules found and false positives.
    As in the FROC only a nodule's best mark counts; its other marks and those dropped on an
    excluded finding are ignored, and a mark on two nodules counts for both. NaN without a
    nodule.
    """
    nodules = events.nodules.sum()
    if not nodules:
        return float("nan")
    last = last_of_equal(events.probability)
    found, seen = np.cumsum(events.hit)[last], np.flatnonzero(last) + 1
    return float((np.diff(found, prepend=0) * found / seen).sum() / nodules)


def operating_thresholds(
    events: Events, rate: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each rate of `at` the lowest probability with at most that many false positives per scan.

    rate: of `froc_curve`. NaN if even the highest probability has more, or there are no marks.
    """
    distinct = events.probability[last_of_equal(events.probability)]
    place = np.searchsorted(rate, at, side="right") - 1
    return np.append(np.nan, distinct)[place]


def read_curve(
    rate: NDArray[np.float64], recall: NDArray[np.float64], at: NDArray, readout: Readout
) -> NDArray[np.float64]:
    """Sensitivities of a curve at the rates `at`; beyond its last point the last value is used."""
    targets, to_next = reading(at, readout)
    return read_at(rate, recall, targets, to_next)


def reading(at: NDArray[np.float64], readout: Readout) -> tuple[NDArray[np.float64], bool]:
    """The rates at which the curve is actually read, and whether at its next point.

    Raises `ValueError` for an unknown readout.
    """
    if readout not in get_args(Readout):
        raise ValueError(f"readout is {readout}, expected one of {', '.join(get_args(Readout))}")
    if readout == "next_vertex":
        return at, True
    nearest = np.abs(CHALLENGE_GRID - at[:, None]).argmin(axis=1)
    return CHALLENGE_GRID[nearest], False


def last_of_equal(probability: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Marks the last of each run of equal values in a sorted array (E,)."""
    return np.append(np.diff(probability) != 0, True)[: len(probability)]


@njit(cache=True, nogil=True)
def _curve(events: Events, last: NDArray, weight: NDArray, limit: float) -> tuple[NDArray, NDArray]:
    """The curve in which scan s counts weight[s] times.

    It may end early, once it has every point at the first rate above `limit`.
    """
    _, scan, hit, nodules = events
    rate, recall = np.empty(len(scan) + 1), np.empty(len(scan) + 1)
    rate[0] = recall[0] = 0
    scans, total = weight.sum(), (weight * nodules).sum()
    found = false = 0
    points = 1
    for event in range(len(scan)):
        if hit[event]:
            found += weight[scan[event]]
        else:
            false += weight[scan[event]]
        if last[event]:
            rate[points] = false / scans
            recall[points] = found / total if total > 0 else np.nan
            points += 1
            if rate[points - 1] > rate[points - 2] > limit:
                break
    if total == 0:
        recall[0] = np.nan
    return rate[:points], recall[:points]


@njit(cache=True, nogil=True)
def read_at(rate: NDArray, recall: NDArray, targets: NDArray, to_next: bool) -> NDArray:
    """Read a curve at each target: interpolated linearly, or at its next point.

    Of several points at one rate the last, which is the highest, is used, as in `numpy.interp`.
    """
    out = np.empty(len(targets))
    end = len(rate) - 1
    for i in range(len(targets)):
        target = targets[i]
        if to_next:
            target = rate[min(np.searchsorted(rate, target), end)]
        j = np.searchsorted(rate, target, side="right") - 1
        out[i] = recall[j]
        if j < end and not to_next:
            slope = (recall[j + 1] - recall[j]) / (rate[j + 1] - rate[j])
            out[i] += slope * (target - rate[j])
    return out


@njit(cache=True, nogil=True)
def resampled_readings(
    draws: NDArray, events: Events, last: NDArray, targets: NDArray, to_next: bool
) -> NDArray:
    """Readings (B, T) of the curve over each row of `draws` (B, S), scans drawn with repeats."""
    out = np.empty((len(draws), len(targets)))
    for b in range(len(draws)):
        weight = np.bincount(draws[b], minlength=len(events.nodules))
        rate, recall = _curve(events, last, weight, targets.max())
        # One by one: Numba compiles the assignment of a slice 3 s longer.
        for target, reading in enumerate(read_at(rate, recall, targets, to_next)):
            out[b, target] = reading
    return out
