"""report.html: a cohort's run on one page that needs no server and no network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nodulenet import __version__
from nodulenet.cohort.manifest import read_manifest
from nodulenet.cohort.timings import read_timings
from nodulenet.evaluation.results import FrocFile, read_froc
from nodulenet.evaluation.subgroups import read_facts
from nodulenet.evaluation.truth import LUNA16, read_cohort, read_findings, read_stage
from nodulenet.files import own_artefact, read_json, replacing
from nodulenet.pages import data_uri, render
from nodulenet.plots.ablation import read_ablation
from nodulenet.report.cards import RATE, Card, Gallery, false_cards, missed_cards
from nodulenet.report.cohort import (
    count_lines,
    ledger,
    scanner_table,
    size_tables,
    spacing_table,
    used_table,
)
from nodulenet.report.external import ExternalCohort, external_cohort
from nodulenet.report.headline import headline, sensitivity_table
from nodulenet.report.scores import ablation_table, fold_table, segmentation_table, timing_table
from nodulenet.report.sources import About, Sources
from nodulenet.report.tables import with_noun

FIGURES = {
    "froc": "FROC curves: sensitivity against false positives per scan, one panel per stage",
    "ablation": "CPM of each stage with its interval, and the paired differences",
    "dice": "Histogram of the nodules' Dice for each stage that segments",
    "transfer": "FROC, calibration and sensitivity by size, here and on the other cohort",
    "timings": "Time and peak memory by rule and by scan",
}
TRAINING = "training_fold"


@dataclass(frozen=True)
class Drawing:
    """A figure as the address of a picture, and what it shows in words."""

    source: str
    words: str


def write_report(sources: Sources, about: About, output: Path) -> None:
    """Write the page of a cohort from the files of its run.

    Raises `InputError` naming file and fault.
    """
    frocs = {stage: read_froc(path) for stage, path in sources.froc.items()}
    ablation = read_ablation(sources.ablation)
    readers = read_json(sources.readers)
    figures = {name: read_drawing(name, path) for name, path in sources.figures.items()}
    with own_artefact(sources.readers):
        segmentation = segmentation_table(frocs, readers)
    page = render(
        "nodulenet.report",
        "report",
        about=about,
        headline=headline(about, frocs, ablation),
        stamp=replace(next(iter(frocs.values())).stamp, version=__version__),
        sensitivity=sensitivity_table(frocs),
        ablation=ablation_table(ablation),
        segmentation=segmentation,
        folds=fold_table(frocs),
        cross_validated=len(next(iter(frocs.values())).headline.folds or ()) > 1,
        figures=figures,
        training=[drawn for name, drawn in figures.items() if name.startswith(TRAINING)],
        external=external_sections(sources, about, frocs),
        timings=timing_table(read_timings(sources.timings)),
        **about_scans(sources, about, frocs),
    )
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def external_sections(
    sources: Sources, about: About, frocs: Mapping[str, FrocFile]
) -> list[tuple[ExternalCohort, Drawing]]:
    """The cohorts that the networks were tested on, each with its figure."""
    sections = []
    for name, files in sources.external.items():
        synthetic, stage = about.external[name]
        cohort = external_cohort(name, synthetic, files, (about.cohort, frocs[stage]))
        figure = next(iter(files.values())).with_name("transfer.svg")
        sections.append((cohort, read_drawing("transfer", figure)))
    return sections


def read_drawing(name: str, path: Path) -> Drawing:
    """An SVG file as a picture of the page."""
    words = FIGURES.get(name, "")
    if name.startswith(TRAINING):
        words = (
            f"Losses and learning rate of the stages trained without fold {name[len(TRAINING) :]}"
        )
    with own_artefact(path):
        return Drawing(data_uri(path.read_bytes(), "svg+xml"), words)


def about_scans(sources: Sources, about: About, frocs: Mapping[str, FrocFile]) -> dict[str, Any]:
    """What the page says of single scans: cohort, scans left out and gallery."""
    froc = next(iter(frocs.values()))
    manifest = read_manifest(sources.manifest)
    cohort = read_cohort(sources.manifest, sources.folds)
    findings = read_findings(cohort)
    patients = dict(zip(manifest["series_uid"], manifest["patient_id"], strict=True))
    facts = [read_facts(scan) for scan in cohort]
    pairs = zip(cohort, facts, strict=True)
    drawn = {scan.series_uid for scan, one in pairs if about.outlined and one.outlined}
    gallery = Gallery(
        scans={scan.series_uid: scan for scan in cohort},
        patients=patients,
        findings=findings,
        predictions=read_stage(sources.predictions, cohort),
        masks=sources.masks if froc.segmentation else (),
        labelled=froc.protocol != LUNA16,
        outlined=drawn,
    )
    nodules = missed_cards(sources, froc, gallery)
    false, listed = false_cards(sources, froc, gallery)
    return {
        "scans": len(manifest),
        "cards": [*nodules, *false],
        "levels": sorted({card.level for card in nodules if card.level is not None}),
        "gallery_lines": gallery_lines(nodules, false, listed, froc),
        "cohort": [
            *size_tables(findings, drawn),
            spacing_table(facts),
            scanner_table(facts),
        ],
        "every_scan": used_table(cohort, patients, facts),
        "ledger_lines": count_lines(manifest, froc, len(cohort)),
        "ledger": ledger(manifest),
    }


def gallery_lines(nodules: list[Card], false: list[Card], listed: int, froc: FrocFile) -> list[str]:
    """What is in the gallery and what is not, one sentence each."""
    total = froc.headline.nodules
    unmarked = sum(card.kind == "unmarked" for card in nodules)
    lines = [
        f"Missed with at most {RATE:g} false positive per scan: {len(nodules)} of"
        f" {with_noun(total, 'nodule')}, all shown. {unmarked} without any mark,"
        f" {len(nodules) - unmarked} found with more false positives.",
        f"False positives: the {len(false)} most probable of the {listed} in"
        " false_positives.csv, which ends at 8 per scan.",
    ]
    if froc.all_scans:
        lines.append(
            "They are of all scans, those without a nodule too, which the headline does not count."
        )
    return lines
