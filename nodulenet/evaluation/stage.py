"""What `evaluate` does: the FROC of a stage's result sets, the scores of its masks, their files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from nodulenet.cohort.manifest import count_scans, read_manifest
from nodulenet.evaluation.bootstrap import bootstrap
from nodulenet.evaluation.froc import Froc, score_events
from nodulenet.evaluation.matching import Outcomes, match_marks
from nodulenet.evaluation.nodules import false_positive_table, nodule_table, scan_table
from nodulenet.evaluation.results import Summary, summarize
from nodulenet.evaluation.segmentation import score_segmentation, summarize_segmentation
from nodulenet.evaluation.tables import Origin, Stamp, stamp_of, stamped, within, write_scores
from nodulenet.evaluation.truth import (
    NODULENET,
    Truth,
    read_cohort,
    read_findings,
    read_stage,
    read_truths,
    result_sets,
)
from nodulenet.files import write_json
from nodulenet.settings import FrocSettings

COUNTS = (
    *("nodules", "found", "false_positives", "on_excluded"),
    *("marks_cut", "scans_cut", "scans"),
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageFiles:
    """What a stage's scores are computed from.

    predictions: predictions.csv over all folds; masks: the folders of masks in the order of the
    folds; challenge: LUNA16's annotations, excluded findings and list of scans, under its protocol.
    """

    manifest: Path
    folds: Path
    predictions: Path
    masks: Sequence[Path]
    challenge: Sequence[Path] = ()


@dataclass(frozen=True, eq=False)
class Scored:
    """A result set with its FROC over one truth; marks: its rows in the truth's scans."""

    name: str
    truth: Truth
    marks: pd.DataFrame
    outcomes: Outcomes
    froc: Froc
    summary: Summary

    def stamp(self, origin: Origin) -> Stamp:
        """The stamp of its tables."""
        return stamp_of(origin, len(self.truth.scans), len(self.truth.nodules))


def evaluate_stage(
    files: StageFiles,
    settings: FrocSettings,
    origin: Origin,
    output: Path,
    given_folds: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the scores of one stage into the folder `output`.

    These are froc.json, froc.csv, nodules.csv, false_positives.csv, scans.csv, segmentation.csv
    and readers.csv. Protocol `nodulenet`: scans with a consensus nodule count, and beside them all
    scans. Protocol `luna16`: the official findings, in all scans of the list that the cohort has.
    Masks are compared with the consensus nodules under both. origin: of the consensus. given_folds:
    `fold{k}` -> stage whose weights were given there and not trained, noted in froc.json. Raises
    `InputError` naming file and fault.
    """
    cohort = read_cohort(files.manifest, files.folds)
    table = read_stage(files.predictions, cohort)
    findings = read_findings(cohort)
    protocol = settings.protocol
    truths, counts = read_truths(protocol, cohort, findings, files.manifest, files.challenge)
    sets = result_sets(table, str(files.predictions))
    scored = [score(name, t, marks, settings) for t in truths for name, marks in sets.items()]
    for one in scored:
        if text := one.summary.cut_text:
            log.warning("set %s, denominator %s: %s", one.name, one.truth.denominator, text)
    positive = [scan for scan in cohort if scan.nodules > 0]
    segmentation = score_segmentation(positive, findings, table, files.masks)
    about = origin if protocol == NODULENET else Origin("given", None, origin.config, protocol)
    content = _froc_content(scored, about, settings) | counts | {"given_folds": dict(given_folds)}
    content["scans_left_out"] = count_scans(read_manifest(files.manifest))[1]
    content["segmentation"] = summarize_segmentation(segmentation)
    write_scored(scored, about, output)
    write_json(output / "froc.json", content)
    stamp = stamp_of(origin, len(positive), sum(scan.nodules for scan in positive))
    write_scores(stamped(segmentation.nodules, stamp), output / "segmentation.csv")
    write_scores(stamped(segmentation.readers, stamp), output / "readers.csv")


def score(name: str, truth: Truth, marks: pd.DataFrame, settings: FrocSettings) -> Scored:
    """Score the marks in the truth's scans, together and by fold. Raises as `match_marks`."""
    whole = _score_scans(name, truth, marks, settings)
    if truth.folds is None:
        return whole
    folds = {}
    for fold in sorted({truth.folds[scan] for scan in truth.scans}):
        scans = [scan for scan in truth.scans if truth.folds[scan] == fold]
        part = truth.part(scans, truth.denominator)
        folds[str(fold)] = _score_scans(name, part, marks, settings).summary
    return replace(whole, summary=replace(whole.summary, folds=folds))


def _score_scans(name: str, truth: Truth, marks: pd.DataFrame, settings: FrocSettings) -> Scored:
    own = within(marks, truth.scans)
    outcomes = match_marks(truth.nodules, truth.excluded, own, truth.scans)
    result = score_events(outcomes.events, settings.readout)
    summary = summarize(result, outcomes, bootstrap(result, settings.bootstrap))
    return Scored(name, truth, own, outcomes, result, summary)


def write_scored(sets: Sequence[Scored], origin: Origin, output: Path) -> None:
    """Write froc.csv, nodules.csv, false_positives.csv and scans.csv into the folder `output`."""
    makers = {
        "froc.csv": _froc_table,
        "nodules.csv": lambda one: nodule_table(one.truth, one.marks, one.outcomes),
        "false_positives.csv": lambda one: false_positive_table(
            one.truth, one.marks, one.outcomes, one.froc
        ),
        "scans.csv": lambda one: scan_table(one.truth, one.froc.events),
    }
    for name, make in makers.items():
        tables = []
        for one in sets:
            table = make(one)
            table.insert(0, "denominator", one.truth.denominator)
            table.insert(0, "set", one.name)
            tables.append(stamped(table, one.stamp(origin)))
        write_scores(pd.concat(tables, ignore_index=True), output / name)


def _froc_table(scored: Scored) -> pd.DataFrame:
    """Rows of froc.csv: the operating points of all folds, `pooled`, and of each fold."""
    rows = []
    for fold, summary in ({"pooled": scored.summary} | dict(scored.summary.folds or {})).items():
        cpm_low, cpm_high = summary.interval
        points = zip(summary.rates, summary.sensitivity, summary.sensitivity_interval, strict=True)
        for rate, sensitivity, (low, high) in points:
            row = {
                "fold": fold,
                "readout": scored.froc.readout,
                "rate": rate,
                "sensitivity": sensitivity,
                "low": low,
                "high": high,
                "cpm": summary.cpm,
                "cpm_low": cpm_low,
                "cpm_high": cpm_high,
                "average_precision": summary.average_precision,
            }
            rows.append(row | {name: getattr(summary, name) for name in COUNTS})
    return pd.DataFrame(rows)


def _froc_content(
    scored: Sequence[Scored], origin: Origin, settings: FrocSettings
) -> dict[str, Any]:
    """The entries of froc.json on the curves; the first truth's sets are the headline."""
    headline = scored[0].truth
    content: dict[str, Any] = {
        "protocol": origin.protocol,
        "denominator": headline.denominator,
        "readout": settings.readout,
        "bootstrap": settings.bootstrap,
        "stamp": asdict(scored[0].stamp(origin)),
        "sets": {one.name: one.summary.plain() for one in scored if one.truth is headline},
    }
    others = {one.name: one.summary.plain() for one in scored if one.truth is not headline}
    return content | ({"all_scans": others} if others else {})
