"""Patients set aside from the training folds: who they are, and their losses during training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nodulenet.cohort import read_folds
from nodulenet.files import InputError, replacing
from nodulenet.model.device import for_any_shape
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import Objective
from nodulenet.settings import AugmentSettings, FoldsSettings, Recipe
from nodulenet.training.accumulation import totals
from nodulenet.training.dataset import TrainingScan
from nodulenet.training.engine import shares_of
from nodulenet.training.feed import epoch_feed
from nodulenet.training.job import Run

COLUMNS = ("series_uid", "patient_id", "nodules")

VALIDATION_EPOCH = 2**32 - 1
"""Used instead of the epoch: the crops are the same in every epoch, but not those of training."""


def split_patients(nodules: Mapping[str, int], share: float, seed: Sequence[int]) -> frozenset[str]:
    """Draw the patients to hold out: a share of those with nodules, and of those without.

    nodules: patient -> number of nodules. At least one patient with nodules is held out and one is
    kept. Raises `InputError` if there are fewer than two.
    """
    rng = np.random.default_rng(seed)
    chosen: list[str] = []
    for wanted in (True, False):
        group = sorted(patient for patient, count in nodules.items() if (count > 0) == wanted)
        number = round(share * len(group))
        if wanted:
            if len(group) < 2:
                raise InputError(
                    f"folds.validation: {len(group)} patient(s) with nodules to train on, so none"
                    " can be held out"
                )
            number = min(max(number, 1), len(group) - 1)
        chosen += [group[k] for k in rng.permutation(len(group))[:number]]
    return frozenset(chosen)


def hold_out(
    scans: Sequence[TrainingScan], folds: Path, fold: int, settings: FoldsSettings
) -> tuple[list[TrainingScan], list[TrainingScan]]:
    """Scans to train on, and those of held-out patients.

    scans: all outside `fold`. The same patients are drawn for all stages of a fold. Raises
    `InputError` as `split_patients` does.
    """
    if settings.validation is None:
        return list(scans), []
    patient_of = patients_of(folds)
    nodules: dict[str, int] = {}
    for scan in scans:
        patient = patient_of[scan.series_uid]
        nodules[patient] = nodules.get(patient, 0) + len(scan.centres)
    chosen = split_patients(nodules, settings.validation, [settings.seed, fold])
    held = [patient_of[scan.series_uid] in chosen for scan in scans]
    return (
        [scan for scan, out in zip(scans, held, strict=True) if not out],
        [scan for scan, out in zip(scans, held, strict=True) if out],
    )


def patients_of(folds: Path) -> dict[str, str]:
    """Series -> patient, of folds.tsv."""
    table = read_folds(folds)
    return dict(zip(table.series_uid, table.patient_id, strict=True))


def write_held_out(scans: Sequence[TrainingScan], folds: Path, path: Path) -> None:
    """Write validation.tsv: the held-out scans, with their patients and numbers of nodules.

    If none are held out, the file of an earlier training is removed.
    """
    if not scans:
        path.unlink(missing_ok=True)
        return
    patient_of = patients_of(folds)
    rows = [(s.series_uid, patient_of[s.series_uid], len(s.centres)) for s in scans]
    with replacing(path) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(temporary, sep="\t", index=False)


def validate(net: NoduleNet, run: Run, epoch: int) -> dict[str, float]:
    """Loss and its terms on held-out patients, and their CPM every `train.validate_every` epochs.

    The network is in evaluation mode, with the running statistics of its normalisations, and is not
    changed. epoch: of the stage, from 0; the CPM is computed after its last epoch too. `loss`
    is the sum of the terms, each a mean over batches as in training. Empty if nobody is held out.
    Raises `Diverged`.
    """
    validation, settings = run.validation, run.job.settings
    if validation is None:
        return {}
    net.eval()
    found = validation_terms(net, run, validation.scans)
    found["loss"] = sum(found.values())
    due = (epoch + 1) % settings.train.validate_every == 0 or epoch + 1 == run.stage.epochs
    if validation.score and due:
        branches = run.stage.branches
        with for_any_shape():
            found["cpm"] = validation.score(net, validation.held, branches, settings, run.rank)
    return found


@torch.no_grad()
def validation_terms(net: NoduleNet, run: Run, scans: Sequence[TrainingScan]) -> dict[str, float]:
    """Loss terms of one crop per nodule, without rotation or scaling, by all processes together."""
    settings = unaugmented(run.job.settings)
    objective, device = Objective(run.stage.branches, settings), next(net.parameters()).device
    sums, steps = torch.zeros(len(objective.terms), device=device), 0
    for parts in epoch_feed(scans, settings, run.job.seed(VALIDATION_EPOCH), run.rank, device):
        steps += 1
        for part in parts:
            shares = shares_of(net, part, objective)
            sums += torch.stack([shares[name] for name in objective.terms])
    whole = totals(sums.tolist(), run.rank, device)
    means = [value / max(steps, 1) for value in whole]
    return dict(zip(objective.terms, means, strict=True))


def unaugmented(settings: Recipe) -> Recipe:
    """The settings without augmentation except shifts, and without synchronised statistics."""
    plain = {"flip": False, "rotate": False, "scale": (1.0, 1.0)}
    plain |= {"random_crops": 0.0, "hard_negatives": 0.0}
    augment: AugmentSettings = settings.augment.model_copy(update=plain)
    train = settings.train.model_copy(update={"sync_batch_norm": False})
    return settings.model_copy(update={"augment": augment, "train": train})
