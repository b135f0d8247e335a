"""The LUNA16 algorithm: hand-worked corner cases and a naive second implementation."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_froc import NO_MARKS, NONE, cohorts, findings, marked, naive_cut, naive_froc

from nodulenet.evaluation import bootstrap, froc, paired_bootstrap
from nodulenet.evaluation.froc import RATES, froc_curve, operating_thresholds, read_curve
from nodulenet.evaluation.matching import match_marks
from nodulenet.files import InputError


@given(cohorts(), st.sampled_from(["challenge", "next_vertex"]))
def test_froc_equals_the_naive_one(cohort, readout):
    result, outcomes = froc(*cohort, readout), match_marks(*cohort)
    events = result.events
    counts = (events.nodules.sum(), events.found, events.false_positives, outcomes.on_excluded)
    expected_counts, sensitivity, cpm = naive_froc(*cohort, readout)
    assert counts == expected_counts
    np.testing.assert_allclose(result.sensitivity, sensitivity, rtol=0, atol=1e-12)
    assert result.cpm == pytest.approx(cpm, abs=1e-12)
    assert (outcomes.marks_cut, outcomes.scans_cut) == naive_cut(cohort[2], cohort[3])


@given(cohorts())
def test_the_curve_rises_from_the_origin(cohort):
    result = froc(*cohort)
    assert result.rate[0] == result.recall[0] == 0
    assert (np.diff(result.rate) >= 0).all()
    assert (np.diff(result.recall) >= 0).all()
    assert (np.diff(result.rate) + np.diff(result.recall) > 0).all()
    assert np.all((result.sensitivity >= 0) & (result.sensitivity <= 1))


def test_a_small_cohort_by_hand():
    nodules = findings(("a", 0, 0, 0, 10), ("b", 0, 0, 0, 10), ("b", 50, 0, 0, 10))
    marks = marked(
        ("a", 1, 0, 0, 0.9), ("a", 90, 0, 0, 0.8), ("b", 50, 1, 0, 0.7), ("b", 90, 0, 0, 0.6)
    )
    result = froc(nodules, NONE, marks, ["a", "b"])
    np.testing.assert_allclose(result.rate, [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(result.recall, np.array([0, 1, 1, 2, 2]) / 3)
    # The challenge's grid point nearest to 1/2 is 0.49985, just short of the step to 2/3.
    np.testing.assert_allclose(result.sensitivity, np.array([1, 1, 1, 2, 2, 2, 2]) / 3)
    assert result.cpm == pytest.approx(11 / 21)
    at_next = froc(nodules, NONE, marks, ["a", "b"], "next_vertex")
    np.testing.assert_allclose(at_next.sensitivity, np.full(7, 2 / 3))


def test_a_mark_hits_only_nearer_than_the_radius():
    nodule = findings(("a", 0, 0, 0, 10))
    for x, found in ((5.0, 0), (np.nextafter(5.0, 0), 1)):
        outcomes = match_marks(nodule, NONE, marked(("a", x, 0, 0, 0.5)), ["a"])
        assert (outcomes.events.found, outcomes.events.false_positives) == (found, 1 - found)


def test_a_negative_diameter_is_ten_millimetres():
    marks = marked(("a", 4.9, 0, 0, 0.5), ("a", 5.0, 0, 0, 0.5))
    outcomes = match_marks(NONE, findings(("a", 0, 0, 0, -1)), marks, ["a"])
    assert (outcomes.on_excluded, outcomes.events.false_positives) == (1, 1)


def test_of_several_marks_the_best_counts_and_none_is_false():
    marks = marked(("a", 0, 0, 0, 0.2), ("a", 1, 0, 0, 0.7), ("a", 2, 0, 0, 0.4))
    outcomes = match_marks(findings(("a", 0, 0, 0, 10)), NONE, marks, ["a"])
    assert outcomes.best.tolist() == [0.7]
    assert outcomes.events.false_positives == 0


def test_two_nodules_under_one_mark_are_both_found():
    nodules = findings(("a", -2, 0, 0, 10), ("a", 2, 0, 0, 10))
    outcomes = match_marks(nodules, NONE, marked(("a", 0, 0, 0, 0.5)), ["a"])
    assert outcomes.best.tolist() == [0.5, 0.5]
    assert outcomes.events.false_positives == 0


def test_a_mark_on_a_nodule_and_an_excluded_finding_counts_for_the_nodule():
    both = findings(("a", 0, 0, 0, 10))
    outcomes = match_marks(both, both, marked(("a", 0, 0, 0, 0.5)), ["a"])
    assert (outcomes.events.found, outcomes.events.false_positives, outcomes.on_excluded) == (
        1,
        0,
        0,
    )


def test_marks_hit_only_findings_of_their_own_scan():
    outcomes = match_marks(
        findings(("a", 0, 0, 0, 10)), NONE, marked(("b", 0, 0, 0, 1)), ["a", "b"]
    )
    assert (outcomes.events.found, outcomes.events.false_positives) == (0, 1)


@pytest.mark.parametrize(
    ("probabilities", "counted"),
    [
        (np.arange(100), 100),
        (np.arange(101), 100),
        (np.r_[np.arange(50), np.full(51, 60)], 51),  # the 101st is the least, 0
        (np.r_[np.full(60, 2), np.full(60, 1)], 60),
        (np.full(101, 1), 0),
    ],
)
def test_of_more_than_100_marks_those_above_the_101st_count(probabilities, counted):
    marks = marked(*(("a", 500 + i, 0, 0, p) for i, p in enumerate(probabilities)))
    outcomes = match_marks(findings(("a", 0, 0, 0, 10)), NONE, marks, ["a"])
    expected = counted if counted != 51 else int((probabilities > 0).sum())
    assert outcomes.events.false_positives == expected


def test_without_a_false_positive_the_sensitivity_is_that_of_all_marks():
    nodules = findings(("a", 0, 0, 0, 10), ("a", 50, 0, 0, 10))
    result = froc(nodules, NONE, marked(("a", 0, 0, 0, 0.3)), ["a", "b"])
    np.testing.assert_array_equal(result.sensitivity, np.full(7, 0.5))


def test_without_a_nodule_hit_the_cpm_is_zero():
    result = froc(findings(("a", 0, 0, 0, 10)), NONE, marked(("a", 90, 0, 0, 0.3)), ["a"])
    assert result.cpm == 0


def test_scans_without_marks_count_in_the_denominator():
    marks = marked(("a", 90, 0, 0, 0.9))
    result = froc(findings(("a", 0, 0, 0, 10)), NONE, marks, ["a", "b", "c", "d"])
    assert result.rate.tolist() == [0, 0.25]
    assert froc(findings(("a", 0, 0, 0, 10)), NONE, NO_MARKS, ["a"]).cpm == 0


def test_equal_probabilities_make_one_point():
    marks = marked(("a", 0, 0, 0, 0.5), ("a", 90, 0, 0, 0.5), ("a", 91, 0, 0, 0.5))
    rate, recall = froc_curve(match_marks(findings(("a", 0, 0, 0, 9)), NONE, marks, ["a"]).events)
    assert (rate.tolist(), recall.tolist()) == ([0, 2], [0, 1])


def test_the_challenge_reads_between_points_and_the_other_readout_at_the_next():
    rate, recall = np.array([0, 0, 2, 2, 6]), np.array([0, 0.2, 0.4, 0.6, 1.0])
    at = np.array([1.0, 2.0, 4.0, 8.0])
    grid = np.linspace(0.125, 8, 10001)
    nearest = grid[np.abs(grid - at[:, None]).argmin(axis=1)]
    expected = np.interp(nearest, rate, recall)
    np.testing.assert_allclose(read_curve(rate, recall, at, "challenge"), expected, atol=1e-15)
    assert abs(expected[0] - 0.3) < 1e-4
    np.testing.assert_array_equal(read_curve(rate, recall, at, "next_vertex"), [0.6, 0.6, 1, 1])


def test_an_unknown_readout_is_an_error():
    with pytest.raises(ValueError, match="readout is best"):
        froc(findings(("a", 0, 0, 0, 9)), NONE, NO_MARKS, ["a"], "best")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"marks": marked(("x", 0, 0, 0, 0.5))}, "marks: 1 scan.* not in the list of scans: x"),
        ({"nodules": findings(("x", 0, 0, 0, 5))}, "nodules: 1 scan.*: x"),
        (
            {"excluded": findings(*((f"x{i}", 0, 0, 0, 5) for i in range(5)))},
            "excluded: 5 scan.*: x0, x1, x2, ...",
        ),
        ({"scans": ["a", "b", "a"]}, "scans: scan listed twice: a"),
        ({"scans": []}, "scans: no scan"),
        ({"marks": marked(("a", 0, 0, 0, math.nan))}, "marks: row 1: probability"),
        ({"nodules": findings(("a", 0, "?", 0, 5))}, r"nodules: row 1: coordY .*: \?"),
        ({"marks": NONE}, "marks: no column probability"),
    ],
)
def test_faults_are_named(change, fault):
    tables = {"nodules": NONE, "excluded": NONE, "marks": NO_MARKS, "scans": ["a", "b"]}
    with pytest.raises(InputError, match=fault):
        froc(**(tables | change))


def random_cohort(seed=0, scans=30):
    rng = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(scans)]
    nodules = findings(*((name, 0, 0, 0, 10) for name in names))
    true = [(n, 0, 0, 0, p) for n, p in zip(names, rng.uniform(0.3, 1, scans), strict=True)]
    false = [(rng.choice(names), 90, 0, 0, p) for p in rng.random(6 * scans)]
    return nodules, NONE, marked(*true[: scans * 2 // 3], *false), names


def naive_draws(nodules, excluded, marks, scans, readout, samples, seed):
    """Sensitivities (B, 7) of cohorts built anew from the drawn scans' rows under new names."""
    sensitivities = []
    for draw in np.random.default_rng(seed).integers(0, len(scans), (samples, len(scans))):
        drawn = [(f"d{i}", scans[k]) for i, k in enumerate(draw)]
        again = [
            pd.concat(
                [table[table["seriesuid"] == old].assign(seriesuid=new) for new, old in drawn]
            )
            for table in (nodules, excluded, marks)
        ]
        result = froc(*again, [new for new, _ in drawn], readout)
        sensitivities.append(result.sensitivity)
    return np.array(sensitivities)


@pytest.mark.parametrize("readout", ["challenge", "next_vertex"])
def test_bootstrap_equals_the_naive_one(readout):
    cohort = random_cohort()
    interval = bootstrap(froc(*cohort, readout), samples=40, seed=7)
    sensitivities = naive_draws(*cohort, readout, 40, 7)
    cpms = sensitivities.mean(axis=1)
    np.testing.assert_allclose(interval.cpm, np.quantile(cpms, [0.025, 0.975]))
    expected = np.quantile(sensitivities, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(interval.sensitivity, expected)


def test_bootstrap_repeats_with_its_seed_and_holds_the_cpm():
    result = froc(*random_cohort())
    first, again, other = bootstrap(result), bootstrap(result), bootstrap(result, seed=1)
    np.testing.assert_array_equal(first.curve, again.curve)
    assert (first.cpm != other.cpm).any()
    assert first.cpm[0] < result.cpm < first.cpm[1]


def test_bootstrap_of_identical_scans_has_no_width():
    names = [f"s{i}" for i in range(9)]
    nodules = findings(*((name, 0, 0, 0, 10) for name in names))
    result = froc(nodules, NONE, marked(*((name, 0, 0, 0, 0.9) for name in names)), names)
    assert bootstrap(result).cpm.tolist() == [1, 1]


def test_the_paired_interval_equals_brute_force():
    nodules, _, marks, names = random_cohort()
    other = marks.drop(index=range(3, 9)).assign(
        probability=np.random.default_rng(5).random(len(marks) - 6)
    )
    one, two = froc(nodules, NONE, marks, names), froc(nodules, NONE, other, names)
    result = paired_bootstrap(one, two, samples=40, seed=7, level=0.8)
    assert result.cpm == pytest.approx(one.cpm - two.cpm)
    np.testing.assert_allclose(result.sensitivity, one.sensitivity - two.sensitivity)
    points = naive_draws(nodules, NONE, marks, names, "challenge", 40, 7)
    points -= naive_draws(nodules, NONE, other, names, "challenge", 40, 7)
    expected = np.quantile(points.mean(axis=1), [0.1, 0.9])
    np.testing.assert_allclose(result.interval, expected, atol=1e-12)
    expected = np.quantile(points, [0.1, 0.9], axis=0).T
    np.testing.assert_allclose(result.sensitivity_interval, expected, atol=1e-12)


def test_a_system_does_not_differ_from_itself():
    result = froc(*random_cohort())
    difference = paired_bootstrap(result, result)
    assert (difference.cpm, difference.interval.tolist()) == (0, [0, 0])


def test_systems_scored_over_other_scans_are_not_paired():
    with pytest.raises(ValueError, match="same scans"):
        paired_bootstrap(froc(*random_cohort()), froc(*random_cohort(scans=29)))
    with pytest.raises(ValueError, match="readout"):
        paired_bootstrap(froc(*random_cohort()), froc(*random_cohort(), "next_vertex"))


def test_without_nodules_everything_is_undefined():
    result = froc(NONE, NONE, marked(("a", 0, 0, 0, 0.5)), ["a"])
    assert np.isnan(result.cpm)
    assert np.isnan(bootstrap(result).cpm).all()


def test_operating_thresholds_by_hand():
    """Two scans: false positives at 0.9, 0.6, 0.6 and 0.2, a hit at 0.8. One false positive is
    1/2 per scan, three are 3/2, four are 2.
    """
    marks = marked(
        ("a", 50, 0, 0, 0.9),
        ("a", 0, 0, 0, 0.8),
        ("b", 50, 0, 0, 0.6),
        ("b", 90, 0, 0, 0.6),
        ("b", 20, 0, 0, 0.2),
    )
    result = froc(findings(("a", 0, 0, 0, 6)), NONE, marks, ["a", "b"])
    found = operating_thresholds(result.events, result.rate, RATES)
    np.testing.assert_equal(found, [np.nan, np.nan, 0.8, 0.8, 0.2, 0.2, 0.2])
    # what the threshold keeps has no more false positives per scan than asked for
    for rate, threshold in zip(RATES, found, strict=True):
        false = ((marks["probability"] >= threshold) & (marks.index != 1)).sum()
        assert false / 2 <= rate
    empty = froc(findings(("a", 0, 0, 0, 6)), NONE, NO_MARKS, ["a", "b"])
    assert np.isnan(operating_thresholds(empty.events, empty.rate, RATES)).all()


def test_a_step_exactly_on_an_operating_point_is_read_at_its_top():
    # 24 scans: 3 false positives are 1/8 per scan, then 12 of 24 nodules, then 184 more.
    scans = [f"s{number}" for number in range(24)]
    nodules = findings(*((scan, 0, 0, 0, 10) for scan in scans))
    kinds = np.repeat([500, 0, 900], [3, 12, 184])
    owners = [*scans[:3], *scans[:12], *(scans[i % 24] for i in range(184))]
    probability = np.linspace(1, 0.1, len(kinds))
    marks = marked(
        *((s, x + 20.0 * (i if x else 0), 0, 0, p)
          for i, (s, x, p) in enumerate(zip(owners, kinds, probability, strict=True)))
    )  # fmt: skip
    result = froc(nodules, NONE, marks, scans)
    assert (result.events.found, result.events.false_positives) == (12, 187)
    assert result.sensitivity.tolist() == [0.5] * 7
    assert result.cpm == 0.5
    # The challenge's script has the rate as (k / K) * K / N, here one step of float64 above 1/8.
    share = np.cumsum(~result.events.hit) / 187
    rate = np.append(0, share * 187 / 24)
    recall = np.append(0, np.cumsum(result.events.hit) / 24)
    assert rate[3] == np.nextafter(0.125, 1)
    grid = np.linspace(0.125, 8, 10001)
    curve = np.interp(grid, rate, recall)
    script = [curve[np.abs(grid - target).argmin()] for target in RATES]
    assert script == [0, *[0.5] * 6]
    assert np.mean(script) == pytest.approx(0.4286, abs=5e-5)
