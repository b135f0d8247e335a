"""The evaluated stages side by side, each against one of them scan by scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nodulenet.evaluation.bootstrap import bootstrap, paired_bootstrap
from nodulenet.evaluation.froc import RATES, Froc, froc
from nodulenet.evaluation.inputs import read_cohort, read_findings, read_predictions, result_sets
from nodulenet.evaluation.scoring import write_table
from nodulenet.evaluation.stamp import GIVEN, stamp_of, stamped
from nodulenet.evaluation.truth import NODULENET, read_truths, within
from nodulenet.files import CorruptArtefact, own_artefact, read_json

SET = "ensemble"
MASK_SCORES = ("dice_found", "dice_all", "surface_mean_mm_found", "surface_p95_mm_found")


@dataclass(frozen=True)
class EvaluatedStage:
    """A stage: its name, the stages that its weights went through, predictions.csv, froc.json."""

    name: str
    trained: str
    predictions: Path
    froc: Path


def compare_stages(
    manifest: Path,
    folds: Path,
    stages: Sequence[EvaluatedStage],
    reference: str,
    settings: Mapping[str, Any],
    origin: Mapping[str, Any],
    readers: Path,
    output: Path,
    challenge: Sequence[Path] = (),
) -> None:
    """Write ablation.csv: a row a stage with its CPM and the paired difference to `reference`.

    Of every stage the set `ensemble` is scored over the protocol's first denominator; the means
    of its masks are taken from froc.json. These are over nodules of the own consensus under
    either protocol, which `mask_consensus`, `mask_level` and `mask_nodules` state. readers:
    reader_pairs.json. settings, origin, challenge: as of `evaluate_stage`. Raises `InputError`
    naming file and fault.
    """
    cohort = read_cohort(manifest, folds)
    findings = read_findings(cohort)
    protocol = settings["protocol"]
    truth = read_truths(protocol, cohort, findings, manifest, challenge)[0][0]
    curves = {}
    for stage in stages:
        table = read_predictions(stage.predictions, cohort)
        marks = within(result_sets(table, str(stage.predictions))[SET], truth.scans)
        curves[stage.name] = froc(
            truth.nodules, truth.excluded, marks, truth.scans, settings["readout"]
        )
    bar = {"dice_between_readers": between_readers(readers)}
    bar |= {"mask_consensus": origin["consensus"], "mask_level": origin["level"]}
    scores = compare_curves(curves, reference, settings["bootstrap"])
    rows = [
        {
            "stage": stage.name,
            "trained": stage.trained,
            "set": SET,
            "denominator": truth.denominator,
        }
        | row
        | mask_means(stage.froc)
        | bar
        for stage, row in zip(stages, scores, strict=True)
    ]
    about = dict(origin) | {"protocol": protocol} | ({} if protocol == NODULENET else GIVEN)
    stamp = stamp_of(about, len(truth.scans), len(truth.nodules))
    write_table(stamped(pd.DataFrame(rows), stamp), output)


def compare_curves(
    curves: Mapping[str, Froc], reference: str, samples: int
) -> list[dict[str, Any]]:
    """A row a stage: CPM and sensitivities, the CPM less that of the reference, 95 % intervals.

    All curves are over the same scans and nodules. The difference is bootstrapped over scans,
    the same draws for both; the reference itself has none.
    """
    rows = []
    for name, curve in curves.items():
        low, high = bootstrap(curve, samples).cpm
        row = {"cpm": curve.cpm, "cpm_low": low, "cpm_high": high}
        row |= {"reference": reference, "difference": None}
        row |= {"difference_low": None, "difference_high": None}
        if name != reference:
            difference = paired_bootstrap(curve, curves[reference], samples)
            row["difference"] = difference.cpm
            row["difference_low"], row["difference_high"] = difference.interval
        row["found"] = curve.outcomes.found
        points = zip(RATES, curve.sensitivity, strict=True)
        rows.append(row | {f"sensitivity_{rate:g}": float(value) for rate, value in points})
    return rows


def mask_means(path: Path) -> dict[str, Any]:
    """Means of a stage's masks from its froc.json and the number of nodules, empty without masks.

    `dice_readers_found`: against single readers, of the nodules found.
    """
    content = read_json(path)
    if "segmentation" not in content:
        fault = f"{path}: no froc.json of a stage: segmentation is missing"
        raise CorruptArtefact(fault, path)
    held = content["segmentation"] or {}
    means = {name: held.get(name) for name in MASK_SCORES}
    means["dice_readers_found"] = held.get("readers", {}).get("dice_found")
    return means | {"mask_nodules": held.get("nodules")}


def between_readers(path: Path) -> float | None:
    """Mean Dice of one reader against another from reader_pairs.json; None without pairs."""
    content = read_json(path)
    with own_artefact(path):
        return content["readers"]["dice"]
