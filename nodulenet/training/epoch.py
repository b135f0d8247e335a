"""One epoch of a stage: its crops, which process computes which, and the training on them."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nodulenet.files import InputError
from nodulenet.model.network import NoduleNet
from nodulenet.training.dataset import (
    Crop,
    TrainingScan,
    cut_ahead,
    draw_sample,
    epoch_samples,
)
from nodulenet.training.distributed import Rank
from nodulenet.training.engine import EpochResult, Part, train_one_epoch
from nodulenet.training.settings import (
    Optimisation,
    read_augmentation,
    read_objective,
    read_optimisation,
)
from nodulenet.training.sharing import own_share, share_epoch
from nodulenet.training.stages import Stage

log = logging.getLogger(__name__)

ORDER, CUT, TARGETS = 1, 2, 3
<<<<<<< HEAD
"""What is drawn: the order of an epoch's samples, how a crop is cut, and its targets."""
=======
"""What numbers are drawn for: an epoch's samples and their order, how a crop is cut, its targets."""
>>>>>>> main


def generator(seed: Sequence[int], crop: int, purpose: int) -> np.random.Generator:
    """The generator of one purpose of one crop of an epoch, whatever else is drawn.

    seed: of the run, fold and epoch. No purpose is 0: NumPy makes the same stream of a seed with
    zeros at its end and of one without.
    """
    return np.random.default_rng([*seed, crop, purpose])


def one_epoch(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    scans: list[TrainingScan],
    stage: Stage,
    settings: Mapping[str, Any],
    seed: list[int],
    rank: Rank,
) -> EpochResult:
    """Draw the epoch's crops and train on them; everything random comes from `seed`."""
    optimisation = read_optimisation(settings["train"])
    feed = epoch_feed(scans, settings, seed, rank)
    objective = read_objective(settings, stage)
    return train_one_epoch(net, optimiser, feed, objective, optimisation.amp, rank)


def epoch_feed(
    scans: list[TrainingScan],
    settings: Mapping[str, Any],
    seed: list[int],
    rank: Rank,
) -> Iterator[list[Part]]:
    """What this process computes of every batch of an epoch.

    Every process draws the same samples. How a crop is cut and what its targets are is drawn by
    generators of its own, so that it is the same in any process and beside any other crops.
    """
    optimisation = read_optimisation(settings["train"])
    augmentation = read_augmentation(settings["augment"])
    samples = epoch_samples(scans, augmentation.random_crops, generator(seed, 0, ORDER))
    together = rank.size if optimisation.sync_batch_norm else 1
    if len(samples) < together:
        raise InputError(f"train.sync_batch_norm: {len(samples)} crops for {together} processes")
    micro = micro_batch(optimisation, rank)
    steps = share_epoch(len(samples), optimisation.batch, micro, together)
    mine = own_share(steps, rank.number, rank.size)

    def cut(number: int) -> Crop:
        pad, rng = settings["preprocess"]["pad_value"], generator(seed, number, CUT)
        return draw_sample(scans, samples[number], optimisation.crop, augmentation, pad, rng)

    crops = cut_ahead(mine, cut, torch.get_num_threads())
    for step, batches in zip(mine, crops, strict=True):
        yield [
            Part(*batch, m.weight, [generator(seed, k, TARGETS) for k in range(m.first, m.stop)])
            for m, batch in zip(step, batches, strict=True)
        ]


def check_sharing(optimisation: Optimisation, rank: Rank) -> None:
    """Raise `InputError` where a batch cannot be shared by as many processes."""
    if rank.size > optimisation.batch:
        raise InputError(
            f"train.batch: {optimisation.batch} crops cannot be shared by {rank.size} processes"
        )
    parts = math.ceil(optimisation.batch / micro_batch(optimisation, rank))
    if parts < rank.size and rank.number == 0:
        log.warning(
            "train.micro_batch: a batch has %d micro-batches, so %d of %d processes have none",
            parts,
            rank.size - parts,
            rank.size,
        )


def micro_batch(optimisation: Optimisation, rank: Rank) -> int:
    """Crops that a process computes at once: as configured, or its share of the batch."""
    return optimisation.micro_batch or math.ceil(optimisation.batch / rank.size)
