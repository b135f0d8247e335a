"""The gallery: nodules that were missed and the most probable false positives, a card each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nodulenet.evaluation.inputs import ScoredScan
from nodulenet.evaluation.tables import POSITION
from nodulenet.evaluation.truth import ALL, LUNA16
from nodulenet.imaging.store import open_scan
from nodulenet.masks import CroppedMask, read_masks
from nodulenet.plots.cases import cut_case
from nodulenet.report.pictures import Picture, picture
from nodulenet.report.sources import Sources, read_rows
from nodulenet.report.tables import number

RATE = 1.0
MOST_FALSE = 100
LEAST_HALF_MM = 20.0
UNMARKED, BELOW, FALSE = "unmarked", "below", "false"
NODULES = ("seriesuid", "nodule", *POSITION, "diameter_mm", "found", "probability", "mark",
           "false_positives_per_scan", "nearest_mark_mm")  # fmt: skip
FALSE_POSITIVES = ("seriesuid", "mark", *POSITION, "probability", "false_positives_per_scan",
                   "nearest_nodule_mm")  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A place in a scan with its picture.

    kind: `unmarked` (a nodule that no mark hits), `below` (one whose marks come after RATE false
    positives a scan) or `false`. position: LPS mm; diameter_mm, level, probability: None where
    there is none; notes: further lines.
    """

    kind: str
    title: str
    series_uid: str
    patient_id: str
    fold: int
    position: tuple[float, float, float]
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


def missed_cards(sources: Sources, froc: Mapping[str, Any], gallery: Gallery) -> list[Card]:
    """A card for every nodule without a mark that has at most RATE false positives a scan; those
    without any mark first, the largest first.
    """
    table = read_rows(sources.nodules, froc["denominator"], NODULES)
    table = table[missed(table)]
    table = table.sort_values(["found", "diameter_mm"], ascending=[True, False], kind="stable")
    return [nodule_card(row, gallery) for row in table.to_dict("records")]


def missed(table: pd.DataFrame) -> pd.Series:
    """Which rows of nodules.csv no mark finds with at most RATE false positives a scan."""
    return (table["found"] == 0) | (table["false_positives_per_scan"] > RATE)


def false_cards(
    sources: Sources, froc: Mapping[str, Any], gallery: Gallery
) -> tuple[list[Card], int]:
    """The MOST_FALSE most probable false positives over all scans, and how many are listed."""
    whole = ALL if "all_scans" in froc else froc["denominator"]
    table = read_rows(sources.false_positives, whole, FALSE_POSITIVES)
    rows = table.head(MOST_FALSE).to_dict("records")
    return [false_card(row, place, gallery) for place, row in enumerate(rows, 1)], len(table)


def nodule_card(row: Mapping[Any, Any], gallery: Gallery) -> Card:
    """The card of a row of nodules.csv."""
    label = int(row["nodule"]) if gallery.labelled else None
    level = level_of(row, gallery) if gallery.outlined else None
    notes = [] if level is None else [f"consensus level {level}"]
    if row["found"]:
        price = number(row["false_positives_per_scan"], 2)
        notes.append(f"found only at {price} false positives a scan")
        mask = mask_of(int(row["mark"]), row["seriesuid"], gallery)
    else:
        mask = None
        away = row["nearest_mark_mm"]
        notes.append("no mark in the scan" if pd.isna(away)
                     else f"no mark hits it; the nearest is {number(away, 1)} mm away")  # fmt: skip
    kind, what = (BELOW, "found late") if row["found"] else (UNMARKED, "no mark")
    title = f"Nodule {int(row['nodule'])}: {what}"
    return card(row, gallery, (kind, title), label, mask, level, notes)


def false_card(row: Mapping[Any, Any], place: int, gallery: Gallery) -> Card:
    """The card of a row of false_positives.csv, the `place`-th."""
    notes = [f"{number(row['false_positives_per_scan'], 2)} false positives a scan down to here"]
    away = row["nearest_nodule_mm"]
    if pd.isna(away):
        notes.append("no nodule in the scan")
    else:
        notes.append(f"the nearest nodule is {number(away, 1)} mm away")
    mark = int(row["mark"])
    diameter = gallery.predictions["diameter_mm"].iloc[mark - 1]
    mask = mask_of(mark, row["seriesuid"], gallery)
    about = (FALSE, f"False positive {place}")
    return card({**row, "diameter_mm": diameter}, gallery, about, None, mask, None, notes)


def card(
    row: Mapping[Any, Any],
    gallery: Gallery,
    about: tuple[str, str],
    label: int | None,
    mask: CroppedMask | None,
    level: int | None,
    notes: list[str],
) -> Card:
    """A card of a place; about: its kind and title; label: the nodule to outline, None for all."""
    kind, title = about
    scan = gallery.scans[row["seriesuid"]]
    position = tuple(float(row[axis]) for axis in POSITION)
    diameter = float(row["diameter_mm"])
    known = diameter if diameter > 0 else None
    return Card(
        kind=kind,
        title=title,
        series_uid=scan.series_uid,
        patient_id=gallery.patients[scan.series_uid],
        fold=scan.fold,
        position=(position[0], position[1], position[2]),
        diameter_mm=known,
        level=level,
        probability=None if pd.isna(row["probability"]) else float(row["probability"]),
        notes=notes,
        picture=draw(scan, np.array(position), known, label, mask, kind),
    )


def draw(
    scan: ScoredScan,
    centre: NDArray[np.float64],
    diameter: float | None,
    label: int | None,
    mask: CroppedMask | None,
    kind: str,
) -> Picture:
    """The picture of a place: cut through the nodule, or through the mask of a false positive; a
    ball of the diameter where there is no such mask.
    """
    case = cut_case(scan, centre, max(LEAST_HALF_MM, 0.9 * (diameter or 0)), label, mask, "")
    shown = case.prediction if kind == FALSE else case.truth
    if label is None and kind != FALSE:
        shown = np.zeros_like(case.truth)
    ball = None if shown.any() else diameter
    affine = open_scan(scan.volume, scan.record)[1]
    voxel_mm = float(np.linalg.norm(affine[:3, :3], axis=0).mean())
    return picture(case, shown, voxel_mm, ball)


def level_of(row: Mapping[Any, Any], gallery: Gallery) -> int | None:
    """The consensus level of a nodule; None where the list of nodules is not the consensus."""
    own = gallery.findings[row["seriesuid"]]
    if not gallery.labelled or "level" not in own:
        return None
    here = own[(own["kind"] == "nodule") & (own["label"] == row["nodule"])]
    return int(here["level"].iloc[0])


def mask_of(mark: int, series_uid: str, gallery: Gallery) -> CroppedMask | None:
    """The mask of a row (from 1) of predictions.csv; None where that row has none."""
    if not gallery.masks:
        return None
    row = gallery.predictions.iloc[mark - 1]
    return read_masks(gallery.masks[int(row["fold"])] / f"{series_uid}.npz").get(int(row["row"]))


def is_labelled(froc: Mapping[str, Any]) -> bool:
    """Whether the nodules of nodules.csv are the labels of the masks."""
    return bool(froc["protocol"] != LUNA16)
