"""Other cohorts that the networks were tested on: their scores beside the cross-validated ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nodulenet.evaluation.results import FrocFile, rate_text, read_froc
from nodulenet.evaluation.tables import read_scores
from nodulenet.evaluation.transfer import calibration_error
from nodulenet.report.headline import protocol_text
from nodulenet.report.tables import TextTable, decimals, with_interval, with_noun

SHARE = ("nodules", "sensitivity_at_1", "low", "high")


@dataclass(frozen=True)
class ExternalCohort:
    """One cohort in the report. synthetic: how many of its scans are rendered, not real."""

    name: str
    synthetic: int
    lines: list[str]
    tables: list[TextTable]


def external_cohort(
    name: str, synthetic: int, files: Mapping[str, Path], trained: tuple[str, FrocFile]
) -> ExternalCohort:
    """What the page says of a cohort that the networks were tested on.

    files: stage of the test -> its froc.json, the ensemble of all networks first, beside which are
    the tables of `transfer`. trained: name of the training cohort and froc.json of its
    stage. Raises `CorruptArtefact` naming a damaged file.
    """
    frocs = {stage: read_froc(path) for stage, path in files.items()}
    folder = next(iter(files.values())).parent
    groups = read_scores(folder / "groups.csv", ("cohort", "by", "group", *SHARE))
    points = read_scores(folder / "operating_points.csv", ("rate", "threshold"))
    bins = read_scores(folder / "reliability.csv", ("cohort", "share_hit", "mean_probability"))
    names = trained[0], name
    tables = [
        network_table(frocs),
        point_table(points, names),
        subgroup_table(groups, names),
    ]
    return ExternalCohort(name, synthetic, score_lines(names, frocs, trained[1], bins), tables)


def score_lines(
    names: tuple[str, str], frocs: Mapping[str, FrocFile], trained: FrocFile, bins: pd.DataFrame
) -> list[str]:
    """CPM there and here, whether they compare, and how well either is calibrated."""
    stage, froc = next(iter(frocs.items()))
    there, here = (
        with_interval(one.headline.cpm, *one.headline.interval) for one in (froc, trained)
    )
    errors = [decimals(calibration_error(bins[bins["cohort"] == name])) for name in names]
    lines = [
        f"CPM of stage {stage} on {names[1]}: {there}; in cross-validation on {names[0]}: {here}.",
        protocol_text(froc),
    ]
    if rules_of(froc) != rules_of(trained):
        lines.append(
            f"The protocol of {names[0]} is another one, so that the two CPMs do not compare."
        )
    lines.append(
        f"Expected calibration error of the marks' probabilities: {errors[1]} on {names[1]},"
        f" {errors[0]} on {names[0]}."
    )
    if froc.scans_left_out:
        lines.append(f"{with_noun(froc.scans_left_out, 'bad scan')} of {names[1]} left out.")
    return lines


def rules_of(froc: FrocFile) -> tuple[object, ...]:
    """Whose nodules count, and how the curve is read."""
    stamp = froc.stamp
    return froc.protocol, stamp.consensus, stamp.level, froc.denominator, froc.readout


def network_table(frocs: Mapping[str, FrocFile]) -> TextTable:
    """One row for all networks together, and one for each by itself."""
    first = next(iter(frocs))
    rates = frocs[first].headline.rates
    rows = []
    for stage, froc in frocs.items():
        scored = froc.headline
        number = stage.removeprefix(f"{first}_")
        name = "all networks together" if stage == first else f"network of {number}"
        cells = (decimals(value) for value in scored.sensitivity)
        cpm = with_interval(scored.cpm, *scored.interval)
        dice = decimals((froc.segmentation or {}).get("dice_found"))
        rows.append((name, *cells, cpm, f"{scored.found} of {scored.nodules}", dice))
    heads = ("networks", *map(rate_text, rates), "CPM", "hit", "Dice, found")
    return TextTable("Sensitivity at false positives per scan, set ensemble", heads, rows)


def point_table(points: pd.DataFrame, names: tuple[str, str]) -> TextTable:
    """What the thresholds of cross-validation give on the other cohort."""
    rows = [
        (
            rate_text(row["rate"]),
            decimals(row["threshold"]),
            decimals(row["false_positives_trained"], 2),
            decimals(row["sensitivity_trained"]),
            decimals(row["false_positives_tested"], 2),
            decimals(row["sensitivity_tested"]),
        )
        for row in points.to_dict("records")
    ]
    parts = (f"{what}, {name}" for name in names for what in ("false positives", "sensitivity"))
    heads = ("wanted", "threshold", *parts)
    text = f"Thresholds chosen on {names[0]} for so many false positives per scan, used on both"
    return TextTable(text, heads, rows)


def subgroup_table(groups: pd.DataFrame, names: tuple[str, str]) -> TextTable:
    """Sensitivity at 1 false positive per scan by size, scanner and step between slices."""
    known = {(row["cohort"], row["by"], row["group"]): row for row in groups.to_dict("records")}
    rows = []
    for kind, group in dict.fromkeys((kind, group) for _, kind, group in known):
        cells: list[str] = []
        for name in names:
            own = known.get((name, kind, group), {})
            count, share, low, high = (own.get(key) for key in SHARE)
            cells += [decimals(count, 0), with_interval(share, low, high)]
        rows.append((kind, group, *cells))
    heads = ("by", "group", *(f"{what}, {name}" for name in names for what in ("nodules", "found")))
    text = "Share of nodules found with at most 1 false positive per scan, with its 95 % interval"
    return TextTable(text, heads, rows, labels=2)
