"""The CPM of a network in training on the scans that its training holds out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from nodulenet.evaluation.froc import froc
from nodulenet.evaluation.truth import ScoredScan, consensus_truths, read_cohort, read_findings
from nodulenet.imaging import Volume
from nodulenet.imaging.store import open_scan
from nodulenet.inference.predict import margin_of, predict_array
from nodulenet.inference.table import prediction_table
from nodulenet.model.network import NoduleNet
from nodulenet.model.settings import Branch
from nodulenet.model.weights import Provenance
from nodulenet.training.distributed import Rank
from nodulenet.training.run import HeldOut


def score_validation(
    net: NoduleNet,
    held: HeldOut,
    branches: Sequence[Branch],
    settings: Mapping[str, Any],
    rank: Rank,
) -> float:
    """CPM of the ensemble set over the scans held out that have a consensus nodule.

    net: in evaluation mode; settings: the config's sections of a training, with `inference` and
    `froc`. Every process predicts its share of the scans, and all return the same. Raises
    `InputError`, also where no scan held out has a consensus nodule.
    """
    cohort = [s for s in read_cohort(held.manifest, held.folds) if s.series_uid in held.series]
    truth = consensus_truths(cohort, read_findings(cohort), str(held.manifest))[0]
    scans = [scan for scan in cohort if scan.series_uid in truth.scans]
    detecting = tuple(branch for branch in branches if branch != "sr")
    trained = Provenance(settings["model"], detecting, {}, "", None, 0, settings)
    own = [predict_marks(net, scan, trained) for scan in scans[rank.number :: rank.size]]
    marks = pd.concat(gathered(own, rank), ignore_index=True)
    readout = settings["froc"].get("readout", "challenge")
    return froc(truth.nodules, truth.excluded, marks, truth.scans, readout).cpm


def predict_marks(net: NoduleNet, scan: ScoredScan, trained: Provenance) -> pd.DataFrame:
    """The marks of one scan, as rows of predictions.csv."""
    volume, affine, _ = open_scan(scan.volume, scan.record)
    grid = Volume(volume, affine)
    prediction = predict_array(net, trained, volume, trained.settings)
    margin = margin_of(trained)
    return prediction_table(scan.series_uid, prediction, grid, margin, scan.fold)[0]


def gathered(tables: Sequence[pd.DataFrame], rank: Rank) -> list[pd.DataFrame]:
    """The tables of all processes."""
    if rank.size == 1:
        return list(tables)
    shares: list[list[pd.DataFrame]] = [[] for _ in range(rank.size)]
    torch.distributed.all_gather_object(shares, list(tables))
    return [table for share in shares for table in share]
