"""The CPM, during training, of a network on held-out scans."""

from collections.abc import Sequence

import pandas as pd
import torch

from nodulenet.evaluation.froc import froc
from nodulenet.evaluation.truth import ScoredScan, consensus_truths, read_cohort, read_findings
from nodulenet.imaging import Volume
from nodulenet.imaging.store import open_scan
from nodulenet.inference.predictor import Member, Predictor
from nodulenet.inference.table import prediction_table
from nodulenet.inference.tiles import predict_volume
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import Provenance
from nodulenet.settings import Branch, Recipe
from nodulenet.training.distributed import Rank
from nodulenet.training.job import HeldOut


def score_validation(
    net: NoduleNet,
    held: HeldOut,
    branches: Sequence[Branch],
    settings: Recipe,
    rank: Rank,
) -> float:
    """CPM of the ensemble set over the held-out scans with a consensus nodule.

    net: in evaluation mode. Every process predicts its share of the scans, and all return the
    same. Raises `InputError`, also if no held-out scan has a consensus nodule.
    """
    scans = read_cohort(held.manifest, held.folds, untested=True)
    cohort = [scan for scan in scans if scan.series_uid in held.series]
    truth = consensus_truths(cohort, read_findings(cohort), str(held.manifest))[0]
    scans = [scan for scan in cohort if scan.series_uid in truth.scans]
    detecting = tuple(branch for branch in branches if branch != "sr")
    member = Member(net, Provenance(settings, detecting, "", None, 0))
    predictor = Predictor([member], settings.inference, settings.train.amp)
    own = [predict_marks(predictor, scan) for scan in scans[rank.number :: rank.size]]
    marks = pd.concat(gathered(own, rank), ignore_index=True)
    readout = settings.froc.readout
    return froc(truth.nodules, truth.excluded, marks, truth.scans, readout).cpm


def predict_marks(predictor: Predictor, scan: ScoredScan) -> pd.DataFrame:
    """The marks of one scan, as rows of predictions.csv."""
    volume, affine, _ = open_scan(scan.volume, scan.record)
    grid = Volume(volume, affine)
    prediction = predict_volume(predictor, volume)
    margin = predictor.members[0].provenance.margin_total
    return prediction_table(scan.series_uid, prediction, grid, margin, scan.fold)[0]


def gathered(tables: Sequence[pd.DataFrame], rank: Rank) -> list[pd.DataFrame]:
    """The tables of all processes."""
    if rank.size == 1:
        return list(tables)
    shares: list[list[pd.DataFrame]] = [[] for _ in range(rank.size)]
    torch.distributed.all_gather_object(shares, list(tables))
    return [table for share in shares for table in share]
