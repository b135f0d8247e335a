"""How the scores of one stage change from the cohort it was trained on to another: `transfer`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from nodulenet.evaluation.froc import RATES
from nodulenet.evaluation.matching import Events
from nodulenet.evaluation.nodules import read_events
from nodulenet.evaluation.results import ENSEMBLE, FrocFile, read_froc
from nodulenet.evaluation.subgroups import (
    SIZES,
    UNKNOWN,
    ScanFacts,
    read_facts,
    size_group,
    step_group,
)
from nodulenet.evaluation.tables import read_scores, write_scores
from nodulenet.evaluation.truth import read_cohort

BINS = np.arange(11) / 10
AT_ONE = 1.0
GROUP_COLUMNS = (
    *("cohort", "by", "group", "scans", "nodules", "found"),
    *("sensitivity_at_1", "low", "high", "mean_sensitivity"),
)
BIN_COLUMNS = ("low", "high", "marks", "mean_probability", "share_hit")
POINT_COLUMNS = (
    *("rate", "threshold", "false_positives_trained", "sensitivity_trained"),
    *("false_positives_tested", "sensitivity_tested"),
)
NODULES = ("set", "denominator", "seriesuid", "diameter_mm", "found", "false_positives_per_scan")


@dataclass(frozen=True)
class CohortFiles:
    """One cohort's name, manifest and folds, and the folder of the stage's scores."""

    name: str
    manifest: Path
    folds: Path
    scores: Path


@dataclass(frozen=True, eq=False)
class ScoredCohort:
    """The scores of the set `ensemble` over the headline's scans of one cohort.

    nodules: rows of nodules.csv; events: of its scans; facts: series -> what its CT was.
    """

    name: str
    froc: FrocFile
    nodules: pd.DataFrame
    events: Events
    facts: dict[str, ScanFacts]


def compare_cohorts(trained: CohortFiles, tested: CohortFiles, output: Path) -> None:
    """Write groups.csv, reliability.csv and operating_points.csv into the folder `output`.

    trained: the cross-validated scores of the training cohort; tested: those of the other one.
    Each is of its own protocol and of its headline's scans. Raises `CorruptArtefact` naming a file
    that is missing or damaged.
    """
    both = [read_scored(files) for files in (trained, tested)]
    write_scores(group_table(both), output / "groups.csv")
    tables = [reliability(one.events).assign(cohort=one.name) for one in both]
    write_scores(pd.concat(tables, ignore_index=True), output / "reliability.csv")
    write_scores(operating_points(*both), output / "operating_points.csv")


def read_scored(files: CohortFiles) -> ScoredCohort:
    """Read a stage's scores on one cohort. Raises `CorruptArtefact`."""
    froc = read_froc(files.scores / "froc.json")
    table = read_scores(files.scores / "nodules.csv", NODULES, seriesuid="str")
    own = table[(table["set"] == ENSEMBLE) & (table["denominator"] == froc.denominator)]
    scans, events = read_events(files.scores / "scans.csv", ENSEMBLE, froc.denominator)
    scored = set(scans)
    cohort = read_cohort(files.manifest, files.folds)
    facts = {one.series_uid: read_facts(one) for one in cohort if one.series_uid in scored}
    return ScoredCohort(files.name, froc, own.reset_index(drop=True), events, facts)


def group_table(cohorts: Sequence[ScoredCohort]) -> pd.DataFrame:
    """Sensitivity by size of the nodule, scanner and step between slices, one row per group.

    Columns: cohort, by, group, scans, nodules, found; sensitivity with at most 1 false positive per
    scan of the whole cohort, with the ends of its 95 % interval (Wilson, Probable inference, 1927);
    and its mean over the seven rates.
    """
    rows = []
    for one in cohorts:
        sizes = size_group(one.nodules["diameter_mm"])
        rows.append(_group_row(one, "all", "all", one.nodules))
        present = [name for name in (*SIZES, UNKNOWN) if (sizes == name).any()]
        rows += [_group_row(one, "size", name, one.nodules[sizes == name]) for name in present]
        of_scan: dict[str, Callable[[ScanFacts], str]] = {
            "scanner": lambda facts: facts.scanner,
            "step between slices": step_group,
        }
        for kind, name_of in of_scan.items():
            names = {series: name_of(facts) for series, facts in one.facts.items()}
            for name in sorted(set(names.values())):
                scans = [series for series in names if names[series] == name]
                own = one.nodules[one.nodules["seriesuid"].isin(scans)]
                rows.append(_group_row(one, kind, name, own) | {"scans": len(scans)})
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS))


def _group_row(cohort: ScoredCohort, kind: str, name: str, nodules: pd.DataFrame) -> dict:
    rate = nodules["false_positives_per_scan"].to_numpy(float)  # NaN where it was not found
    within = [int((rate <= most).sum()) for most in RATES]
    at_one, count = within[RATES.tolist().index(AT_ONE)], len(nodules)
    low = high = np.nan
    if count:
        low, high = binomtest(at_one, count).proportion_ci(method="wilson")
    return {
        "cohort": cohort.name,
        "by": kind,
        "group": name,
        "scans": nodules["seriesuid"].nunique() if kind == "size" else len(cohort.facts),
        "nodules": count,
        "found": int(nodules["found"].sum()),
        "sensitivity_at_1": at_one / count if count else np.nan,
        "low": low,
        "high": high,
        "mean_sensitivity": float(np.mean(within)) / count if count else np.nan,
    }


def reliability(events: Events) -> pd.DataFrame:
    """How often a mark of a probability is a nodule, in ten bins of equal width.

    Columns: low and high of the bin, number of marks, their mean probability, share of them that
    hit a nodule. A nodule's further marks and those on excluded findings are left out, as in the
    FROC. A calibrated detector has equal shares and means.
    """
    place = np.clip(np.searchsorted(BINS, events.probability, side="right") - 1, 0, len(BINS) - 2)
    rows = []
    for number, (low, high) in enumerate(pairwise(BINS)):
        own = place == number
        mean, share = (
            (float(values[own].mean()) if own.any() else np.nan)
            for values in (events.probability, events.hit)
        )
        rows.append((low, high, int(own.sum()), mean, share))
    return pd.DataFrame(rows, columns=list(BIN_COLUMNS))


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error of a reliability table: mean difference of share and mean.

    Bins are weighted by their marks (Naeini et al., Obtaining well calibrated probabilities using
    Bayesian binning, AAAI 2015). NaN without a mark.
    """
    apart = (table["share_hit"] - table["mean_probability"]).abs() * table["marks"]
    return float(apart.sum() / table["marks"].sum()) if table["marks"].sum() else float("nan")


def operating_points(trained: ScoredCohort, tested: ScoredCohort) -> pd.DataFrame:
    """What the thresholds that were read on the training cohort give on the other one.

    One row per rate of the FROC: the lowest probability with at most so many false positives per
    scan in cross-validation, and the false positives per scan and the sensitivity of the marks at
    least as probable, in either cohort. Empty where no mark has so few false positives.
    """
    summary = trained.froc.headline
    rows = []
    for rate, threshold in zip(summary.rates, summary.thresholds, strict=True):
        row = {"rate": rate, "threshold": np.nan if threshold is None else threshold}
        for name, one in (("trained", trained), ("tested", tested)):
            false, found = _above(one.events, row["threshold"])
            row |= {f"false_positives_{name}": false, f"sensitivity_{name}": found}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(POINT_COLUMNS))


def _above(events: Events, threshold: float) -> tuple[float, float]:
    """False positives per scan and sensitivity of the marks at least as probable; NaN for NaN."""
    if np.isnan(threshold):
        return float("nan"), float("nan")
    hit = events.hit[events.probability >= threshold]
    nodules, scans = int(events.nodules.sum()), len(events.nodules)
    return float((~hit).sum()) / scans, float(hit.sum()) / nodules if nodules else float("nan")
