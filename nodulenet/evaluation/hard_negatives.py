"""Hard negatives: false positives of given weights in the scans that networks are trained on."""

import logging
import math
from pathlib import Path

import pandas as pd
import torch

from nodulenet.annotations.challenge_csv import MARK_COLUMNS
from nodulenet.evaluation.held_out import predict_marks
from nodulenet.evaluation.matching import match_marks
from nodulenet.evaluation.tables import write_scores
from nodulenet.evaluation.truth import ScoredScan, consensus_truths, read_cohort, read_findings
from nodulenet.inference.predictor import Predictor, load_members
from nodulenet.model.device import choose_device
from nodulenet.model.gpu_lock import hold_devices
from nodulenet.progress import track_logged
from nodulenet.scan_table import NO_FOLD
from nodulenet.settings import Recipe

log = logging.getLogger(__name__)

PER_SCAN = 30
"""False positives of a scan at most, the most probable ones."""


def find_hard_negatives(
    manifest: Path, folds: Path, weights: Path, settings: Recipe, output: Path
) -> None:
    """Predict every scan of a cohort that is trained on, and write its worst false positives.

    output: CSV with the columns seriesuid, coordX, coordY, coordZ (LPS, mm) and probability. Marks
    at excluded findings are not among them. Raises `InputError` where no scan has a nodule.
    """
    cohort = trained_on(read_cohort(manifest, folds, untested=True))
    truth = consensus_truths(cohort, read_findings(cohort), str(manifest))[-1]
    with hold_devices(choose_device(settings.train.device).type, 1) as [device]:
        marks = predict_all(cohort, weights, settings, device)
    outcomes = match_marks(truth.nodules, truth.excluded, marks, truth.scans)
    false = marks.iloc[outcomes.mark[~outcomes.events.hit]]
    worst = false.groupby("seriesuid", sort=False).head(PER_SCAN)
    log.info("%d hard negatives in %d scans", len(worst), len(cohort))
    write_scores(worst[list(MARK_COLUMNS)], output)


def trained_on(cohort: list[ScoredScan]) -> list[ScoredScan]:
    """The scans that a network is trained on: all, unless those with a fold are all in one."""
    tested = {scan.fold for scan in cohort} - {NO_FOLD}
    return [scan for scan in cohort if len(tested) > 1 or scan.fold == NO_FOLD]


def predict_all(
    cohort: list[ScoredScan], weights: Path, settings: Recipe, device: torch.device
) -> pd.DataFrame:
    """The marks of all scans; nothing is segmented."""
    members, amp = load_members([weights], device), settings.train.amp
    predictor = Predictor(members, settings.inference, amp, least=math.inf)
    scans = track_logged(cohort, "hard negatives", "scans", len(cohort))
    return pd.concat([predict_marks(predictor, scan) for scan in scans], ignore_index=True)
