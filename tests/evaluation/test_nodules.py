"""The tables of nodules and false positives against loops over the same cohort."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_froc import NONE, RATES, cohorts, distance, findings, marked, naive_match

from nodulenet.evaluation.froc import froc, score_events
from nodulenet.evaluation.matching import match_marks
from nodulenet.evaluation.nodules import (
    FALSE_COLUMNS,
    NODULE_COLUMNS,
    POINTS,
    false_positive_table,
    nodule_table,
)
from nodulenet.evaluation.truth import ALL, Truth


def tables(cohort, folds=None, readout="challenge"):
    nodules, excluded, marks, scans = cohort
    outcomes = match_marks(*cohort)
    result = score_events(outcomes.events, readout)
    truth = Truth(ALL, tuple(scans), folds, nodules, excluded)
    return (
        nodule_table(truth, marks, outcomes),
        false_positive_table(truth, marks, outcomes, result),
    )


def nearest(row, others):
    """Distance and position of the nearest row of the scan in another table; None without one."""
    own = [other for other in others.itertuples() if other.seriesuid == row.seriesuid]
    return min((distance(row, other), other.Index) for other in own) if own else None


@given(cohorts())
def test_nodules_equal_the_naive_ones(cohort):
    nodules, _, marks, scans = cohort
    best, false, _ = naive_match(*cohort)
    table, _ = tables(cohort)
    assert list(table) == list(NODULE_COLUMNS)
    assert len(table) == len(nodules)
    for nodule, row in zip(nodules.itertuples(), table.itertuples(), strict=True):
        mark = best[nodule.Index]
        assert row.found == (mark is not None)
        close = nearest(nodule, marks)
        assert (
            pd.isna(row.nearest_mark_mm)
            if close is None
            else (row.nearest_mark_mm == pytest.approx(close[0]))
        )
        if mark is None:
            assert pd.isna(row.probability)
            assert pd.isna(row.mark)
            assert pd.isna(row.false_positives_per_scan)
            continue
        assert row.probability == mark.probability
        named = marks.loc[row.mark - 1]
        assert named["probability"] == mark.probability
        assert row.distance_mm == pytest.approx(distance(nodule, named))
        assert row.mark_coordX == named["coordX"]
        count = sum(other.probability >= mark.probability for other in false)
        assert row.false_positives == count
        assert row.false_positives_per_scan == count / len(scans)


@given(cohorts(), st.sampled_from(["challenge", "next_vertex"]))
def test_false_positives_equal_the_naive_ones(cohort, readout):
    nodules, _, marks, scans = cohort
    _, false, _ = naive_match(*cohort)
    _, table = tables(cohort, readout=readout)
    assert list(table) == list(FALSE_COLUMNS)
    rate = {m.Index: sum(o.probability >= m.probability for o in false) / len(scans) for m in false}
    limits = RATES
    if readout == "next_vertex":
        curve = froc(*cohort, readout).rate
        limits = [min([r for r in curve if r >= target], default=max(curve)) for target in RATES]
    assert set(table["mark"] - 1) == {m for m, value in rate.items() if value <= limits[-1]}
    assert table["probability"].is_monotonic_decreasing
    for row in table.itertuples(index=False):
        assert row.false_positives_per_scan == rate[row.mark - 1]
        assert row.probability == marks.loc[row.mark - 1, "probability"]
        assert row.coordY == marks.loc[row.mark - 1, "coordY"]
        own = nearest(row, nodules)
        assert (
            pd.isna(row.nearest_nodule_mm)
            if own is None
            else (row.nearest_nodule_mm == pytest.approx(own[0]))
        )
    above = table[list(POINTS)].to_numpy()
    expected = [[rate[mark - 1] <= limit for limit in limits] for mark in table["mark"]]
    assert above.tolist() == np.array(expected, int).reshape(-1, 7).tolist()


def test_folds_and_numbers_stand_in_the_rows():
    nodules = findings(("b", 0, 0, 0, 10), ("a", 0, 0, 0, 10), ("b", 50, 0, 0, 10))
    marks = marked(("b", 50, 1, 0, 0.7), ("a", 90, 0, 0, 0.6), ("b", 48, 0, 30, 0.5))
    found, false = tables((nodules, NONE, marks, ["a", "b"]), {"a": 1, "b": 0})
    assert found["nodule"].tolist() == [1, 1, 2]
    assert found["fold"].tolist() == [0, 1, 0]
    assert found["found"].tolist() == [0, 0, 1]
    assert false["fold"].tolist() == [1, 0]
    assert false["nearest_nodule"].tolist() == [1, 2]
    without, _ = tables((nodules, NONE, marks, ["a", "b"]))
    assert without["fold"].isna().all()
