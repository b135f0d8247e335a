"""What is drawn for a crop depends on the seed, fold, epoch and crop, and on nothing else."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_training
import torch

from nodulenet.model import NoduleNet
from nodulenet.model.objective import Objective
from nodulenet.settings import NcsSettings, Recipe, TrainSettings
from nodulenet.training import train_stage
from nodulenet.training.dataset import load_training_scans
from nodulenet.training.distributed import Rank
from nodulenet.training.engine import shares_of
from nodulenet.training.feed import CUT, ORDER, TARGETS, Part, epoch_feed, generator, target_seed

BATCH = 3
SEED = [0, 1, 2]
SHARINGS = [(1, None), (1, 1), (1, 2), (2, None), (2, 1), (3, None), (3, 2)]
"""Processes and crops per micro-batch."""


def settings(random_crops: float = 0, **train: Any) -> dict[str, Any]:
    changed = copy.deepcopy(small_training.SETTINGS)
    changed["augment"]["random_crops"] = random_crops
    changed["train"] |= {"batch": BATCH, **train}
    return changed


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Outside fold 1 there are five scans with a nodule and one without."""
    return small_training.write_cohort(tmp_path_factory.mktemp("cohort"), scans=11)


def steps_of(
    cohort: tuple[Path, Path], processes: int, micro: int | None, random_crops: float = 0
) -> list[list[Part]]:
    """The parts of every step of an epoch, of all processes together."""
    scans = load_training_scans(*cohort, 1)
    own = Recipe.model_validate(settings(random_crops, micro_batch=micro))
    ranks = [Rank(k, processes) for k in range(processes)]
    feeds = [epoch_feed(scans, own, SEED, rank, torch.device("cpu")) for rank in ranks]
    return [[part for share in step for part in share] for step in zip(*feeds, strict=True)]


def draws_of(parts: list[Part]) -> dict[bytes, tuple[int, list[list[float]]]]:
    """Image of each crop -> its seed, from which its targets are drawn, and its truth boxes."""
    found = {}
    for part in parts:
        own = part.crops
        assert np.array_equal(own.masks, own.nodules[:, 0].numpy())
        for image, seed, truth in zip(own.images, own.seeds, own.truth, strict=True):
            boxes = truth[truth[:, 3] > 0].tolist()
            found[image.numpy().tobytes()] = int(seed), boxes
    return found


def test_crops_and_targets_are_the_same_in_any_processes_and_micro_batches(
    cohort: tuple[Path, Path],
) -> None:
    expected = [draws_of(parts) for parts in steps_of(cohort, 1, None, 0.4)]
    assert [len(step) for step in expected] == [3, 3, 1]
    for sharing in SHARINGS[1:]:
        assert [draws_of(parts) for parts in steps_of(cohort, *sharing, 0.4)] == expected, sharing


def test_the_losses_of_a_batch_are_those_of_its_micro_batches(cohort: tuple[Path, Path]) -> None:
    """Where nothing is normalised or chosen over a micro-batch: a fixed normalisation, and as many
    positive and negative anchors in every crop.
    """
    torch.manual_seed(0)
    net = NoduleNet(width=0.1).eval()
    ncs = NcsSettings(negatives=20, hard_negatives=20, positives="one_per_crop")
    objective = Objective(("ncs",), Recipe(ncs=ncs, train=TrainSettings(amp=False)))
    losses = []
    for sharing in SHARINGS:
        parts = steps_of(cohort, *sharing)[0]
        with torch.no_grad():
            shares = [shares_of(net, part, objective) for part in parts]
        losses.append([sum(float(share[name]) for share in shares) for name in shares[0]])
    assert min(losses[0]) > 0.01
    np.testing.assert_allclose(losses, [losses[0]] * len(losses), rtol=1e-5)


@pytest.mark.slow
def test_weights_do_not_depend_on_the_number_of_processes(
    cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    for processes in (1, 2, 3):
        own = settings(micro_batch=1, gpus=processes)
        own["train"]["stages"] = {
            "full": {"after": None, "epochs": 2, "branches": ["ncs", "dfps", "sr"]}
        }
        job = small_training.job(cohort, "full", tmp_path / str(processes), own)
        train_stage(job, threads=processes)
    one, *others = (small_training.tensors(tmp_path / str(k)) for k in (1, 2, 3))
    losses = [pd.read_csv(tmp_path / str(k) / "history.csv").loss for k in (1, 2, 3)]
    for other, loss in zip(others, losses[1:], strict=True):
        np.testing.assert_allclose(loss, losses[0], rtol=1e-6)
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_every_purpose_of_every_crop_has_a_stream_of_its_own() -> None:
    seeds = [[seed, fold, epoch] for seed in (0, 1) for fold in (0, 1) for epoch in (0, 1)]
    draws = {
        tuple(generator(seed, crop, purpose).integers(2**32, size=4))
        for seed in seeds
        for crop in range(4)
        for purpose in (ORDER, CUT, TARGETS)
    }
    assert len(draws) == len(seeds) * 4 * 3
    targets = {target_seed(seed, crop) for seed in seeds for crop in range(4)}
    assert len(targets) == len(seeds) * 4
