"""Bootstrap intervals of a FROC over scans.

Efron, Bootstrap methods: another look at the jackknife, Ann Statist 1979; percentile intervals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nodulenet.evaluation.froc import RATES, Froc, last_of_equal, reading, resampled_readings
from nodulenet.settings import FrocSettings

SAMPLES = FrocSettings().bootstrap
CURVE_RATES = 0.125 * 2.0 ** (np.arange(97) / 16)


@dataclass(frozen=True, eq=False)
class Interval:
    """95 % intervals (low, high): of the CPM (2,), the operating points (7, 2) and the curve.

    curve: (97, 2) at `CURVE_RATES`, 1/8 to 8 in sixteenths of an octave.
    """

    cpm: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    curve: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Difference:
    """One FROC minus another over the same scans, with 95 % intervals (low, high).

    cpm, interval (2,): of the CPM; sensitivity (7,), sensitivity_interval (7, 2): of the operating
    points. NaN if there is no nodule or no sample.
    """

    cpm: float
    sensitivity: NDArray[np.float64]
    interval: NDArray[np.float64]
    sensitivity_interval: NDArray[np.float64]


def bootstrap(result: Froc, samples: int = SAMPLES, seed: int = 0, level: float = 0.95) -> Interval:
    """Percentile intervals over `samples` draws of as many scans as there are, with replacement.

    A draw without a nodule has no sensitivity and is excluded from the percentiles; if no draw has
    a nodule, the interval is NaN.
    """
    readings = _drawn_readings(result, np.concatenate([RATES, CURVE_RATES]), samples, seed)
    points = readings[:, : len(RATES)]
    return Interval(
        _percentiles(points.mean(axis=1)[:, None], level)[0],
        _percentiles(points, level),
        _percentiles(readings[:, len(RATES) :], level),
    )


def paired_bootstrap(
    a: Froc, b: Froc, samples: int = SAMPLES, seed: int = 0, level: float = 0.95
) -> Difference:
    """`a` minus `b`, both over the same list of scans, with percentile intervals.

    A draw uses the same scans for both: the draws of `bootstrap` with this seed. Draws without a
    nodule are discarded. Raises `ValueError` when the two were not scored over the same nodules in
    each scan, or not read the same way.
    """
    if a.readout != b.readout or not np.array_equal(a.events.nodules, b.events.nodules):
        raise ValueError("a paired difference needs the same scans, nodules and readout twice")
    points = _drawn_readings(a, RATES, samples, seed) - _drawn_readings(b, RATES, samples, seed)
    return Difference(
        a.cpm - b.cpm,
        a.sensitivity - b.sensitivity,
        _percentiles(points.mean(axis=1)[:, None], level)[0],
        _percentiles(points, level),
    )


def _drawn_readings(
    result: Froc, rates: NDArray[np.float64], samples: int, seed: int
) -> NDArray[np.float64]:
    """Sensitivities at `rates` (B, T) in each of `samples` seeded draws of scans."""
    scans = len(result.events.nodules)
    draws = np.random.default_rng(seed).integers(0, scans, (samples, scans))
    targets, to_next = reading(rates, result.readout)
    last = last_of_equal(result.events.probability)
    return resampled_readings(draws, result.events, last, targets, to_next)


def _percentiles(values: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Low and high percentile of each column: (B, K) -> (K, 2)."""
    whole = values[~np.isnan(values).any(axis=1)]
    if not len(whole):
        return np.full((values.shape[1], 2), np.nan)
    return np.quantile(whole, [(1 - level) / 2, (1 + level) / 2], axis=0).T
