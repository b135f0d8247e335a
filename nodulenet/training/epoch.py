"""One epoch of a stage: its crops, which process computes which, and the training on them."""

import logging
import math
from collections.abc import Iterator, Mapping
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
    rng = np.random.default_rng(seed)
    feed = epoch_feed(scans, settings, seed, rank, rng)
    objective = read_objective(settings, stage)
    return train_one_epoch(net, optimiser, feed, objective, optimisation.amp, rank)


def epoch_feed(
    scans: list[TrainingScan],
    settings: Mapping[str, Any],
    seed: list[int],
    rank: Rank,
    rng: np.random.Generator,
) -> Iterator[list[Part]]:
    """What this process computes of every batch of an epoch.

    Every process draws the same samples. A crop is drawn by a generator of its number; so are the
    targets of a micro-batch, by its first crop's, so that they are the same wherever it is
    computed. Those of whole batches are drawn by `rng`, one after the other.
    """
    optimisation = read_optimisation(settings["train"])
    augmentation = read_augmentation(settings["augment"])
    samples = epoch_samples(scans, augmentation.random_crops, rng)
    together = rank.size if optimisation.sync_batch_norm else 1
    if len(samples) < together:
        raise InputError(f"train.sync_batch_norm: {len(samples)} crops for {together} processes")
    micro = micro_batch(optimisation, rank)
    whole = rank.size == 1 and optimisation.micro_batch is None
    steps = share_epoch(len(samples), optimisation.batch, micro, together)
    mine = own_share(steps, rank.number, rank.size)

    def cut(number: int) -> Crop:
        own = np.random.default_rng([*seed, number])
        pad = settings["preprocess"]["pad_value"]
        return draw_sample(scans, samples[number], optimisation.crop, augmentation, pad, own)

    crops = cut_ahead(mine, cut, torch.get_num_threads())
    for step, batches in zip(mine, crops, strict=True):
        yield [
            Part(*batch, m.weight, rng if whole else np.random.default_rng([*seed, m.first, 1]))
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
