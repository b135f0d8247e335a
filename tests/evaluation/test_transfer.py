"""Scores of one cohort beside those of another: groups, calibration, operating points, by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_cohort
from scipy.stats import binomtest

from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.matching import Events
from nodulenet.evaluation.tables import Origin
from nodulenet.evaluation.transfer import (
    CohortFiles,
    calibration_error,
    compare_cohorts,
    group_table,
    operating_points,
    read_scored,
    reliability,
)
from nodulenet.settings import FrocSettings


def events(hits: list[float], false: list[float], nodules: tuple[int, ...]) -> Events:
    """Events of scans, all in the first one."""
    probability = np.array(hits + false)
    order = np.argsort(-probability, kind="stable")
    hit = np.array([True] * len(hits) + [False] * len(false))[order]
    return Events(probability[order], np.zeros(len(order), np.int64), hit, np.array(nodules))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    """The small cohort, scored: four of its marks are in the scans with nodules."""
    folder = tmp_path_factory.mktemp("cohort")
    files = small_cohort.build(folder)
    evaluate_stage(files, FrocSettings(bootstrap=0), Origin("c", 3, "x"), folder / "full")
    return CohortFiles("small", files.manifest, files.folds, folder / "full")


def test_marks_are_counted_by_their_probability() -> None:
    table = reliability(events([0.95, 0.91, 0.30], [0.99, 0.30, 1.0], (4, 0)))
    assert table["marks"].tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 4]
    assert table["share_hit"].dropna().tolist() == [0.5, 0.5]
    assert table["mean_probability"].dropna().tolist() == pytest.approx([0.3, 0.9625])
    wanted = (2 * abs(0.5 - 0.3) + 4 * abs(0.5 - 0.9625)) / 6
    assert calibration_error(table) == pytest.approx(wanted)


def test_without_a_mark_there_is_no_calibration() -> None:
    table = reliability(events([], [], (2,)))
    assert table["marks"].sum() == 0
    assert np.isnan(calibration_error(table))


def test_a_threshold_of_one_cohort_is_used_on_the_other(scored: CohortFiles) -> None:
    trained = read_scored(scored)
    # In its 2 scans the marks with 0.9 and 0.8 are nodules, the next one, 0.6, is none.
    summary = trained.froc.headline
    points = dict(zip(summary.rates, summary.thresholds, strict=True))
    assert (points[0.25], points[0.5]) == pytest.approx((0.8, 0.6))
    other = replace(trained, events=events([0.8, 0.2], [0.9, 0.75, 0.1], (3, 0)))
    table = operating_points(trained, other).set_index("rate")
    names = ["false_positives_trained", "sensitivity_trained"]
    names += ["false_positives_tested", "sensitivity_tested"]
    assert table.loc[0.25, names].tolist() == pytest.approx([0, 2 / 3, 1 / 2, 1 / 3])
    assert table.loc[0.5, names].tolist() == pytest.approx([1 / 2, 2 / 3, 1, 1 / 3])


def test_a_rate_that_no_mark_reaches_stays_empty(scored: CohortFiles) -> None:
    trained = read_scored(scored)
    nothing = replace(trained.froc.headline, thresholds=[None] * 7)
    froc = replace(trained.froc, sets=dict(trained.froc.sets) | {"ensemble": nothing})
    table = operating_points(replace(trained, froc=froc), trained)
    assert table.drop(columns="rate").isna().all(axis=None)


def test_groups_count_their_nodules(scored: CohortFiles, tmp_path: Path) -> None:
    other = replace(scored, name="other")
    compare_cohorts(scored, other, tmp_path)
    table = pd.read_csv(tmp_path / "groups.csv").set_index(["cohort", "by", "group"]).sort_index()
    whole = table.loc[("small", "all", "all")]
    assert (whole["scans"], whole["nodules"], whole["found"]) == (2, 3, 2)
    # Balls of radius 4, 6 and 9: sides of 9, 13 and 19; the first is missed.
    sizes = table.loc[("small", "size")]
    assert sizes["nodules"].to_dict() == {"10 to 20 mm": 2, "6 to 10 mm": 1}
    assert sizes["sensitivity_at_1"].to_dict() == {"10 to 20 mm": 1.0, "6 to 10 mm": 0.0}
    low, high = binomtest(2, 2).proportion_ci(method="wilson")
    assert sizes.loc["10 to 20 mm", ["low", "high"]].tolist() == pytest.approx([low, high])
    steps = table.loc[("small", "step between slices", "under 1.5 mm")]
    scanner = table.loc[("small", "scanner", "not in the file")]
    for one in (steps, scanner):
        assert (one["scans"], one["nodules"]) == (2, 3)
        assert one["mean_sensitivity"] == pytest.approx(whole["mean_sensitivity"])
    assert set(table.index.get_level_values("cohort")) == {"small", "other"}
    bins = pd.read_csv(tmp_path / "reliability.csv")
    assert bins.groupby("cohort")["marks"].sum().nunique() == 1


def test_a_nodule_counts_from_the_rate_at_which_it_is_found(scored: CohortFiles) -> None:
    trained = read_scored(scored)
    rates = [0.125, 1.0, np.nan]
    nodules = trained.nodules.assign(false_positives_per_scan=rates, found=[1, 1, 0])
    whole = group_table([replace(trained, nodules=nodules)]).iloc[0]
    assert whole["sensitivity_at_1"] == pytest.approx(2 / 3)
    assert whole["mean_sensitivity"] == pytest.approx((3 * 1 + 4 * 2) / 7 / 3)
