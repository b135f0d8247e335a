"""The gallery: nodules that were missed and the most probable false positives, one card each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.evaluation.results import FrocFile
from nodulenet.evaluation.truth import ALL, ScoredScan
from nodulenet.imaging.store import open_scan
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
    the labels, and whether readers outlined them.
    """

    scans: Mapping[str, ScoredScan]
    patients: Mapping[str, str]
    findings: Mapping[str, pd.DataFrame]
    predictions: pd.DataFrame
    masks: Sequence[Path]
    labelled: bool
    outlined: bool


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
    rows = table.head(MOST_FALSE).itertuples()
    return [false_card(row, place, gallery) for place, row in enumerate(rows, 1)], len(table)


def nodule_card(row: Any, gallery: Gallery) -> Card:
    """The card of a row of nodules.csv."""
    label = int(row.nodule) if gallery.labelled else None
    level = level_of(row.seriesuid, label, gallery)
    notes = [] if level is None else [f"consensus level {level}"]
    mask = None
    if row.found:
        price = decimals(row.false_positives_per_scan, 2)
        notes.append(f"found only at {price} false positives per scan")
        mask = mask_of(int(row.mark), row.seriesuid, gallery)
    elif pd.isna(row.nearest_mark_mm):
        notes.append("no mark in the scan")
    else:
        away = decimals(row.nearest_mark_mm, 1)
        notes.append(f"no mark hits it; the nearest is {away} mm away")
    kind, what = (BELOW, "found late") if row.found else (UNMARKED, "no mark")
    diameter = known_diameter(row.diameter_mm)
    place = place_of(row, gallery, diameter, label, mask)
    return Card(
        kind=kind,
        title=f"Nodule {int(row.nodule)}: {what}",
        scan=place.scan,
        patient_id=gallery.patients[row.seriesuid],
        position=place.centre_mm.tolist(),
        diameter_mm=diameter,
        level=level,
        probability=None if pd.isna(row.probability) else float(row.probability),
        notes=notes,
        picture=draw_place(place, kind, diameter),
    )


def false_card(row: Any, rank: int, gallery: Gallery) -> Card:
    """The card of a row of false_positives.csv, the `rank`-th."""
    notes = [f"{decimals(row.false_positives_per_scan, 2)} false positives per scan down to here"]
    if pd.isna(row.nearest_nodule_mm):
        notes.append("no nodule in the scan")
    else:
        notes.append(f"the nearest nodule is {decimals(row.nearest_nodule_mm, 1)} mm away")
    diameter = known_diameter(gallery.predictions["diameter_mm"].iloc[int(row.mark) - 1])
    mask = mask_of(int(row.mark), row.seriesuid, gallery)
    place = place_of(row, gallery, diameter, None, mask)
    return Card(
        kind=FALSE,
        title=f"False positive {rank}",
        scan=place.scan,
        patient_id=gallery.patients[row.seriesuid],
        position=place.centre_mm.tolist(),
        diameter_mm=diameter,
        level=None,
        probability=float(row.probability),
        notes=notes,
        picture=draw_place(place, FALSE, diameter),
    )


def known_diameter(value: float) -> float | None:
    """A diameter in mm; None where it is unknown."""
    return float(value) if value > 0 else None


def place_of(
    row: Any, gallery: Gallery, diameter: float | None, label: int | None, mask: CroppedMask | None
) -> Place:
    """Where a row of nodules.csv or false_positives.csv is, with all that is drawn of it."""
    centre = np.array([getattr(row, axis) for axis in POSITION], float)
    half = min(max(LEAST_HALF_MM, 0.9 * (diameter or 0)), MOST_HALF_MM)
    return Place(gallery.scans[row.seriesuid], centre, half, label, mask)


def draw_place(place: Place, kind: str, diameter: float | None) -> Picture:
    """The picture of a place: cut through the nodule, or through the mask of a false positive; a
    ball of the diameter where there is no such mask.
    """
    case = cut_case(place)
    shown = case.prediction if kind == FALSE else case.truth
    if place.label is None and kind != FALSE:
        shown = np.zeros_like(case.truth)
    ball = None if shown.any() else diameter
    affine = open_scan(place.scan.volume, place.scan.record)[1]
    voxel_mm = float(np.linalg.norm(affine[:3, :3], axis=0).mean())
    return picture(case, shown, voxel_mm, ball)


def level_of(series_uid: str, label: int | None, gallery: Gallery) -> int | None:
    """The consensus level of a nodule; None where the list of nodules is not the consensus, or
    readers outlined nothing.
    """
    own = gallery.findings[series_uid]
    if label is None or not gallery.outlined or "level" not in own:
        return None
    here = own[(own["kind"] == "nodule") & (own["label"] == label)]
    return int(here["level"].iloc[0])


def mask_of(mark: int, series_uid: str, gallery: Gallery) -> CroppedMask | None:
    """The mask of a row (from 1) of predictions.csv; None where that row has none."""
    if not gallery.masks:
        return None
    row = gallery.predictions.iloc[mark - 1]
    return read_masks(gallery.masks[int(row["fold"])] / f"{series_uid}.npz").get(int(row["row"]))
