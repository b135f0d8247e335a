"""Average precision: by hand, against a naive second implementation, and scikit-learn's."""

import math

import numpy as np
import pytest
from hypothesis import given
from naive_froc import NO_MARKS, NONE, cohorts, findings, marked, naive_average_precision

from nodulenet.evaluation.froc import average_precision
from nodulenet.evaluation.matching import match_marks


@given(cohorts())
def test_it_equals_the_naive_one(cohort):
    expected = naive_average_precision(*cohort)
    assert average_precision(match_marks(*cohort).events) == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    nodules = findings(("a", 0, 0, 0, 10), ("a", 50, 0, 0, 10), ("b", 0, 0, 0, 10))
    excluded = findings(("b", 90, 0, 0, 10))
    marks = marked(
        ("a", 1, 0, 0, 0.9), ("a", 2, 0, 0, 0.85),  # the second on the same nodule: neither way
        ("b", 40, 0, 0, 0.8), ("b", 90, 0, 0, 0.7),  # false; on an excluded finding: neither way
        ("a", 50, 0, 0, 0.6), ("b", 44, 0, 0, 0.5),
    )  # fmt: skip
    # 1 of 3 found at precision 1, 2 of 3 at 2/3; the third is missed.
    outcomes = match_marks(nodules, excluded, marks, ["a", "b"])
    assert average_precision(outcomes.events) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_equal_probabilities_are_one_step():
    nodules = findings(("a", 0, 0, 0, 10))
    marks = marked(("a", 40, 0, 0, 0.5), ("a", 0, 0, 0, 0.5), ("a", 60, 0, 0, 0.5))
    assert average_precision(match_marks(nodules, NONE, marks, ["a"]).events) == pytest.approx(
        1 / 3
    )


def test_without_marks_and_without_nodules():
    nodules = findings(("a", 0, 0, 0, 10))
    assert average_precision(match_marks(nodules, NONE, NO_MARKS, ["a"]).events) == 0
    marks = marked(("a", 40, 0, 0, 0.5))
    assert math.isnan(average_precision(match_marks(NONE, NONE, marks, ["a"]).events))


@pytest.mark.parametrize("levels", [5, 1000])
def test_where_nothing_is_missed_it_is_that_of_scikit_learn(levels):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    at = np.arange(80) * 50.0
    hit = np.arange(80) % 3 == 0
    probability = rng.integers(1, levels, 80) / levels
    marks = marked(*(("a", x, 0, 0, p) for x, p in zip(at, probability, strict=True)))
    nodules = findings(*(("a", x, 0, 0, 10) for x in at[hit]))
    outcomes = match_marks(nodules, NONE, marks, ["a"])
    expected = metrics.average_precision_score(hit, probability)
    assert average_precision(outcomes.events) == pytest.approx(expected, abs=1e-12)
