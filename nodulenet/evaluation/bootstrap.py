"""Intervals of a FROC by drawing scans with replacement.

Efron, Bootstrap methods: another look at the jackknife, Ann Statist 1979; percentile intervals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.evaluation.froc import RATES, Froc, last_of_equal, reading, resampled_readings

CURVE_RATES = 0.125 * 2.0 ** (np.arange(97) / 16)


@dataclass(frozen=True, eq=False)
class Interval:
    """95 % intervals (low, high): of the CPM (2,), the operating points (7, 2) and the curve.

    curve: (97, 2) at `CURVE_RATES`, 1/8 to 8 in sixteenths of an octave.
    """

    cpm: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    curve: NDArray[np.float64]


def bootstrap(result: Froc, samples: int = 1000, seed: int = 0, level: float = 0.95) -> Interval:
    """Percentile intervals over `samples` draws of as many scans as there are, with replacement.

    A draw without a nodule has no sensitivity and is left out of the percentiles; where no draw
    has one, the interval is NaN.
    """
    events = result.outcomes
    scans = len(events.nodules)
    draws = np.random.default_rng(seed).integers(0, scans, (samples, scans))
    targets, to_next = reading(np.concatenate([RATES, CURVE_RATES]), result.readout)
    last = last_of_equal(events.probability)
    readings = resampled_readings(
        draws, events.scan, events.hit, last, events.nodules, targets, to_next
    )
    points = readings[:, : len(RATES)]
    return Interval(
        _percentiles(points.mean(axis=1)[:, None], level)[0],
        _percentiles(points, level),
        _percentiles(readings[:, len(RATES) :], level),
    )


def _percentiles(values: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Low and high percentile of each column: (B, K) -> (K, 2)."""
    whole = values[~np.isnan(values).any(axis=1)]
    if not len(whole):
        return np.full((values.shape[1], 2), np.nan)
    return np.quantile(whole, [(1 - level) / 2, (1 + level) / 2], axis=0).T
