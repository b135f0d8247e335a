"""What marks are scored against: the scans of a denominator and the findings in them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nodulenet.evaluation.inputs import ScoredScan
from nodulenet.evaluation.luna16 import Luna16, read_luna16
from nodulenet.files import InputError, examples

NODULENET, LUNA16 = "nodulenet", "luna16"
WITH_NODULES, ALL = "with_nodules", "all"
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Truth:
    """Scans, nodules and excluded findings that one FROC is scored over.

    denominator: `with_nodules` or `all`, of the cohort's or the list's scans. folds: scan -> fold,
    None where there are none. nodules, excluded: columns seriesuid, coordX, coordY, coordZ,
    diameter_mm; LPS mm; of these scans alone.
    """

    denominator: str
    scans: tuple[str, ...]
    folds: Mapping[str, int] | None
    nodules: pd.DataFrame
    excluded: pd.DataFrame


def part_of(truth: Truth, scans: Sequence[str], denominator: str) -> Truth:
    """The truth of some of the scans."""
    return Truth(
        denominator,
        tuple(scans),
        truth.folds,
        within(truth.nodules, scans),
        within(truth.excluded, scans),
    )


def within(table: pd.DataFrame, scans: Sequence[str]) -> pd.DataFrame:
    """The rows of some scans, their index kept."""
    return table[table["seriesuid"].isin(scans)]


def read_truths(
    protocol: str,
    cohort: Sequence[ScoredScan],
    findings: Mapping[str, pd.DataFrame],
    manifest: Path,
    challenge: Sequence[Path] = (),
) -> tuple[list[Truth], dict[str, int]]:
    """What a protocol scores a cohort against, the headline first, and counts to be stated.

    findings: series -> table of the own consensus; challenge: annotations, excluded and list of
    scans of LUNA16. Raises `InputError` for an unknown protocol or a fault of the files.
    """
    if protocol == NODULENET:
        truths = consensus_truths(cohort, findings, str(manifest))
        without = len(truths[1].scans) - len(truths[0].scans)
        log.info("%d scans without a nodule count only under `all`", without)
        return truths, {"scans_without_nodules": without}
    if protocol != LUNA16 or len(challenge) != 3:
        raise InputError(f"froc.protocol is {protocol}, with {len(challenge)} of LUNA16's 3 files")
    annotations, excluded, scans = map(Path, challenge)
    official = read_luna16(annotations, excluded, scans)
    truth = challenge_truth(cohort, official, str(scans))
    listed, scored = len(official.scans), len(truth.scans)
    log.info("%s: %d of the %d listed scans are in the cohort and scored", scans, scored, listed)
    if scored < len(cohort):
        log.warning("%d scans of the cohort are not listed, not scored", len(cohort) - scored)
    return [truth], {"scans": scored, "listed": listed, "scans_not_listed": len(cohort) - scored}


def consensus_truths(
    cohort: Sequence[ScoredScan], findings: Mapping[str, pd.DataFrame], name: str
) -> list[Truth]:
    """Own consensus nodules: over the scans that have one, and over all scans.

    Raises `InputError` naming the manifest `name` when no scan has a nodule.
    """
    positive = [scan.series_uid for scan in cohort if scan.nodules > 0]
    if not positive:
        raise InputError(f"{name}: no scan with a consensus nodule to evaluate on")
    folds = {scan.series_uid: scan.fold for scan in cohort}
    own = pd.concat([findings[scan] for scan in folds], ignore_index=True)
    nodule = own["kind"] == "nodule"
    whole = Truth(ALL, tuple(folds), folds, own[nodule], own[~nodule])
    return [part_of(whole, positive, WITH_NODULES), whole]


def challenge_truth(cohort: Sequence[ScoredScan], official: Luna16, name: str) -> Truth:
    """The challenge's nodules and excluded findings in the scans that the cohort has of its list.

    Raises `InputError` when it has none, with examples of both; `name` is the list's file.
    """
    folds = {scan.series_uid: scan.fold for scan in cohort}
    listed = set(official.scans)
    scans = [scan for scan in folds if scan in listed]
    if not scans:
        raise InputError(
            f"{name}: lists no scan of the cohort: it has {examples(official.scans)}, the cohort "
            f"{examples(list(folds))}"
        )
    whole = Truth(ALL, official.scans, folds, official.nodules, official.excluded)
    return part_of(whole, scans, ALL)
