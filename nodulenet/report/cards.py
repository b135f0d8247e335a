"""The gallery: nodules that were missed and the most probable false positives, one card each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.evaluation.results import FrocFile
from nodulenet.evaluation.truth import ALL, ScoredScan
from nodulenet.masks import CroppedMask, read_masks
from nodulenet.plots.cases import Place, cut_case
from nodulenet.report.pictures import Picture, picture
from nodulenet.report.sources import Sources, read_set
from nodulenet.report.tables import decimals

RATE = 1.0
MOST_FALSE = 100
LEAST_HALF_MM, MOST_HALF_MM = 20.0, 100.0
UNMARKED, BELOW, FALSE = "unmarked", "below", "false"
NODULES = ("seriesuid", "nodule", *POSITION, "diameter_mm", "found", "probability", "mark",
           "false_positives_per_scan", "nearest_mark_mm")  # fmt: skip
FALSE_POSITIVES = ("seriesuid", "mark", *POSITION, "probability", "false_positives_per_scan",
                   "nearest_nodule_mm")  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A place in a scan with its picture.

    kind: `unmarked` (a nodule that no mark hits), `below` (one whose marks come after RATE false
    positives per scan) or `false`. position: LPS mm; diameter_mm, level, probability: None where
    there is none; notes: further lines.
    """

    kind: str
    title: str
    scan: ScoredScan
    patient_id: str
    position: Sequence[float]
    diameter_mm: float | None
    level: int | None
    probability: float | None
    notes: list[str]
    picture: Picture


@dataclass(frozen=True, eq=False)
class Gallery:
    """What cards are drawn from: the cohort's scans with their patients and findings, the stage's
    predictions and folders of masks (none: it does not segment), whether the nodules are those of
    the labels, and the scans whose nodules readers drew.
    """

    scans: Mapping[str, ScoredScan]
    patients: Mapping[str, str]
    findings: Mapping[str, pd.DataFrame]
    predictions: pd.DataFrame
    masks: Sequence[Path]
    labelled: bool
    outlined: Collection[str]


def missed_cards(sources: Sources, froc: FrocFile, gallery: Gallery) -> list[Card]:
    """A card for every nodule without a mark that has at most RATE false positives per scan; those
    without any mark first, the largest first.
    """
    table = read_set(sources.nodules, froc.denominator, NODULES)
    table = table[missed(table)]
    table = table.sort_values(["found", "diameter_mm"], ascending=[True, False], kind="stable")
    return [nodule_card(row, gallery) for row in table.itertuples()]


def missed(table: pd.DataFrame) -> pd.Series:
    """Which rows of nodules.csv no mark finds with at most RATE false positives per scan."""
    return (table["found"] == 0) | (table["false_positives_per_scan"] > RATE)


def false_cards(sources: Sources, froc: FrocFile, gallery: Gallery) -> tuple[list[Card], int]:
    """The MOST_FALSE most probable false positives over all scans, and how many are listed."""
    whole = ALL if froc.all_scans else froc.denominator
    table = read_set(sources.false_positives, whole, FALSE_POSITIVES)
    diameters = gallery.predictions["diameter_mm"].to_numpy()
    shown = table.head(MOST_FALSE).assign(diameter_mm=lambda rows: diameters[rows["mark"] - 1])
    cards = [false_card(row, place, gallery) for place, row in enumerate(shown.itertuples(), 1)]
    return cards, len(table)


def nodule_card(row: Any, gallery: Gallery) -> Card:
    """The card of a row of nodules.csv."""
    kind, what = (BELOW, "found late") if row.found else (UNMARKED, "no mark")
    if row.found:
        note = f"found only at {decimals(row.false_positives_per_scan, 2)} false positives per scan"
    elif pd.isna(row.nearest_mark_mm):
        note = "no mark in the scan"
    else:
        note = f"no mark hits it; the nearest is {decimals(row.nearest_mark_mm, 1)} mm away"
    return draw_card(row, gallery, kind, f"Nodule {int(row.nodule)}: {what}", [note])


def false_card(row: Any, rank: int, gallery: Gallery) -> Card:
    """The card of a row of false_positives.csv, the `rank`-th, with the mark's diameter."""
    notes = [f"{decimals(row.false_positives_per_scan, 2)} false positives per scan down to here"]
    if pd.isna(row.nearest_nodule_mm):
        notes.append("no nodule in the scan")
    else:
        notes.append(f"the nearest nodule is {decimals(row.nearest_nodule_mm, 1)} mm away")
    return draw_card(row, gallery, FALSE, f"False positive {rank}", notes)


def draw_card(row: Any, gallery: Gallery, kind: str, title: str, notes: list[str]) -> Card:
    """The card of a row of nodules.csv or false_positives.csv."""
    label = int(row.nodule) if gallery.labelled and kind != FALSE else None
    level = level_of(row.seriesuid, label, gallery)
    diameter = float(row.diameter_mm) if row.diameter_mm > 0 else None  # negative: unknown
    centre = np.array([getattr(row, axis) for axis in POSITION], float)
    half = min(max(LEAST_HALF_MM, 0.9 * (diameter or 0)), MOST_HALF_MM)
    scan = gallery.scans[row.seriesuid]
    return Card(
        kind=kind,
        title=title,
        scan=scan,
        patient_id=gallery.patients[row.seriesuid],
        position=centre.tolist(),
        diameter_mm=diameter,
        level=level,
        probability=None if pd.isna(row.probability) else float(row.probability),
        notes=notes if level is None else [f"consensus level {level}", *notes],
        picture=draw_place(Place(scan, centre, half, label, mask_of(row, gallery)), kind, diameter),
    )


def draw_place(place: Place, kind: str, diameter: float | None) -> Picture:
    """The picture of a place: cut through the nodule, or through the mask of a false positive; a
    ball of the diameter where there is no such mask.
    """
    case = cut_case(place)
    shown = case.prediction if kind == FALSE else case.truth
    if place.label is None and kind != FALSE:
        shown = np.zeros_like(case.truth)
    return picture(case, shown, None if shown.any() else diameter)


def level_of(series_uid: str, label: int | None, gallery: Gallery) -> int | None:
    """The consensus level of a nodule; None where the list of nodules is not the consensus, or
    readers drew nothing.
    """
    own = gallery.findings[series_uid]
    if label is None or series_uid not in gallery.outlined or "level" not in own:
        return None
    here = own[(own["kind"] == "nodule") & (own["label"] == label)]
    return int(here["level"].iloc[0])


def mask_of(row: Any, gallery: Gallery) -> CroppedMask | None:
    """The mask of a row's mark; None where there is no mark, or no mask of it."""
    if pd.isna(row.mark) or not gallery.masks:
        return None
    mark = gallery.predictions.iloc[int(row.mark) - 1]
    masks = read_masks(gallery.masks[int(mark["fold"])] / f"{row.seriesuid}.npz")
    return masks.get(int(mark["row"]))
