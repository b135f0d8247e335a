"""Comparison of the evaluated stages, each paired with a reference scan by scan: `ablation`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.evaluation.bootstrap import paired_bootstrap
from nodulenet.evaluation.froc import Froc, score_events
from nodulenet.evaluation.nodules import read_events
from nodulenet.evaluation.results import ENSEMBLE, FrocFile, read_froc
from nodulenet.evaluation.tables import Stamp, stamped, write_scores
from nodulenet.files import CorruptArtefact, InputError, own_artefact, read_json

MASK_SCORES = ("dice_found", "dice_all", "surface_mean_mm_found", "surface_p95_mm_found")


@dataclass(frozen=True)
class EvaluatedStage:
    """A stage: its name, the stages that its weights went through, its froc.json and scans.csv."""

    name: str
    trained: str
    froc: Path
    scans: Path


def compare_stages(
    stages: Sequence[EvaluatedStage], reference: str, readers: Path, output: Path
) -> None:
    """Write ablation.csv: one row per stage with its CPM and the paired difference to `reference`.

    For every stage the set `ensemble` is used, over the headline's scans. The difference is
    bootstrapped over scans, with the same draws for both; the reference itself has none. The mask
    means are over the nodules of our consensus under either protocol; `mask_consensus`,
    `mask_level` and `mask_nodules` describe it. readers: reader_pairs.json. Raises `InputError`
    naming file and fault, also where the stages were not scored over the same scans and nodules.
    """
    frocs = {stage.name: read_froc(stage.froc) for stage in stages}
    curves = {stage.name: read_curve_of(stage, frocs[stage.name]) for stage in stages}
    dice, own = between_readers(readers)
    rows = []
    for stage in stages:
        froc = frocs[stage.name]
        low, high = froc.headline.interval
        points = zip(froc.headline.rates, froc.headline.sensitivity, strict=True)
        row = {
            "stage": stage.name,
            "trained": stage.trained,
            "set": ENSEMBLE,
            "denominator": froc.denominator,
            "cpm": froc.headline.cpm,
            "cpm_low": low,
            "cpm_high": high,
            "reference": reference,
            **difference(stage, curves, reference, froc.bootstrap),
            "found": froc.headline.found,
            **{f"sensitivity_{rate:g}": value for rate, value in points},
            **mask_means(stage.froc, froc),
            "dice_between_readers": dice,
            "mask_consensus": own.consensus,
            "mask_level": own.level,
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    write_scores(stamped(table, frocs[stages[0].name].stamp), output)


def read_curve_of(stage: EvaluatedStage, froc: FrocFile) -> tuple[list[str], Froc]:
    """The scans of a stage's headline, and its FROC over them.

    Raises `CorruptArtefact` where scans.csv and froc.json disagree.
    """
    scans, events = read_events(stage.scans, ENSEMBLE, froc.denominator)
    curve = score_events(events, froc.readout)
    if curve.events.found != froc.headline.found or len(scans) != froc.headline.scans:
        raise CorruptArtefact(f"{stage.scans}: does not fit {stage.froc}", stage.scans)
    return scans, curve


def difference(
    stage: EvaluatedStage,
    curves: dict[str, tuple[list[str], Froc]],
    reference: str,
    samples: int,
) -> dict[str, Any]:
    """The CPM less that of the reference with its paired interval; None for the reference."""
    if stage.name == reference:
        return dict.fromkeys(("difference", "difference_low", "difference_high"))
    (scans, curve), (others, other) = curves[stage.name], curves[reference]
    try:
        if scans != others:
            raise ValueError("other scans")
        paired = paired_bootstrap(curve, other, samples)
    except ValueError as error:
        fault = f"{stage.scans}: not scored as the stage {reference} was: {error}"
        raise InputError(fault) from error
    low, high = paired.interval
    return {"difference": paired.cpm, "difference_low": low, "difference_high": high}


def mask_means(path: Path, froc: FrocFile) -> dict[str, Any]:
    """Means of a stage's masks and the number of nodules, empty without masks.

    `dice_readers_found`: against single readers, of the nodules found.
    """
    held = froc.segmentation or {}
    with own_artefact(path):
        means = {name: held.get(name) for name in MASK_SCORES}
        means["dice_readers_found"] = held.get("readers", {}).get("dice_found")
        return means | {"mask_nodules": held.get("nodules")}


def between_readers(path: Path) -> tuple[float | None, Stamp]:
    """Mean Dice of one reader against another from reader_pairs.json, None without pairs, and the
    stamp, which states the consensus that masks are compared with.
    """
    content = read_json(path)
    with own_artefact(path):
        return content["readers"]["dice"], Stamp(**content["stamp"])
