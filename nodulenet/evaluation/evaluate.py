"""The scores of one stage of a cohort: FROC of its result sets and Dice of its masks."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nodulenet.evaluation.inputs import (
    count_left_out,
    read_cohort,
    read_findings,
    read_predictions,
    result_sets,
)
from nodulenet.evaluation.mask_summary import summarize_segmentation
from nodulenet.evaluation.scoring import Scored, score, stamp_scored, write_scored, write_table
from nodulenet.evaluation.segmentation import score_segmentation, segmentation_tables
from nodulenet.evaluation.stamp import GIVEN, stamp_of, stamped
from nodulenet.evaluation.summary import cut_text
from nodulenet.evaluation.truth import NODULENET, read_truths
from nodulenet.files import write_json

log = logging.getLogger(__name__)


def evaluate_stage(
    manifest: Path,
    folds: Path,
    predictions: Path,
    masks: Sequence[Path],
    settings: Mapping[str, Any],
    origin: Mapping[str, Any],
    output: Path,
    challenge: Sequence[Path] = (),
    given_folds: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the scores of one stage into the folder `output`.

    These are froc.json, froc.csv, nodules.csv, false_positives.csv, segmentation.csv
    and readers.csv.
    predictions: the stage's predictions.csv over all folds; masks: the folders of masks in the
    order of the folds; settings: the config's section `froc` (protocol, readout, bootstrap);
    origin: consensus, level and config for the stamp. Protocol `nodulenet`: scans with a consensus
    nodule count, and beside them all scans. Protocol `luna16`: the official findings in `challenge`
    (annotations, excluded, list of scans), all scans of the list that the cohort has. Masks are
    compared with the consensus nodules under both. given_folds: `fold{k}` -> stage whose weights
    were given there and not trained, noted in froc.json. Raises `InputError` naming file and fault.
    """
    cohort = read_cohort(Path(manifest), Path(folds))
    table = read_predictions(Path(predictions), cohort)
    findings = read_findings(cohort)
    protocol = settings["protocol"]
    truths, counts = read_truths(protocol, cohort, findings, Path(manifest), challenge)
    sets = result_sets(table, str(predictions))
    scored = [score(name, t, marks, settings) for t in truths for name, marks in sets.items()]
    for one in scored:
        if text := cut_text(one.summary):
            log.warning("set %s, denominator %s: %s", one.name, one.truth.denominator, text)
    positive = [scan for scan in cohort if scan.nodules > 0]
    segmentation = score_segmentation(positive, findings, table, [Path(folder) for folder in masks])
    own = {"protocol": NODULENET, **origin}
    about = own if protocol == NODULENET else own | GIVEN | {"protocol": protocol}
    content = _content(scored, about, settings) | counts | {"given_folds": dict(given_folds)}
    content["scans_left_out"] = count_left_out(Path(manifest))
    content["segmentation"] = None if segmentation is None else summarize_segmentation(segmentation)
    write_scored(scored, about, Path(output))
    write_json(Path(output) / "froc.json", content)
    stamp = stamp_of(own, len(positive), sum(scan.nodules for scan in positive))
    for name, masked in segmentation_tables(segmentation).items():
        write_table(stamped(masked, stamp), Path(output) / name)


def _content(
    scored: Sequence[Scored], origin: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The entries of froc.json on the curves; the first truth's sets are the headline."""
    headline = scored[0].truth
    content: dict[str, Any] = {
        "protocol": origin["protocol"],
        "denominator": headline.denominator,
        "readout": settings["readout"],
        "bootstrap": settings["bootstrap"],
        "stamp": stamp_scored(scored[0], origin).plain(),
        "sets": {one.name: one.summary for one in scored if one.truth is headline},
    }
    others = {one.name: one.summary for one in scored if one.truth is not headline}
    return content | ({"all_scans": others} if others else {})
