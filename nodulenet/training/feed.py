"""The crops of an epoch: which are drawn, which process computes which, and cutting them ahead.

A batch is split into micro-batches, which are assigned to the processes of the training in turn.
"""

import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nodulenet.files import InputError
from nodulenet.settings import TrainingSettings, TrainSettings
from nodulenet.training.dataset import Crop, Sample, TrainingScan, cut_sample
from nodulenet.training.distributed import Rank

log = logging.getLogger(__name__)

ORDER, CUT, TARGETS = 1, 2, 3
"""What is drawn: the order of an epoch's samples, how a crop is cut, and its targets."""

STEPS_AHEAD = 1


@dataclass(frozen=True)
class MicroBatch:
    """Which samples of an epoch a micro-batch has: `first` to `stop` - 1.

    weight: their share of the batch's samples. Once its crops are cut, it is a `Part`.
    """

    first: int
    stop: int
    weight: float


@dataclass(frozen=True, eq=False)
class Part:
    """A micro-batch as it is computed: images and labels (crops, z, y, x), its weight in the batch,
    and for each crop the generator that draws its targets."""

    images: NDArray[np.uint8]
    labels: NDArray[np.integer]
    weight: float
    rngs: Sequence[np.random.Generator]


def epoch_feed(
    scans: Sequence[TrainingScan], settings: TrainingSettings, seed: Sequence[int], rank: Rank
) -> Iterator[list[Part]]:
    """What this process computes of every batch of an epoch.

    Every process draws the same samples. How a crop is cut and what its targets are is drawn by
    generators of its own, so that it is the same in any process and beside any other crops.
    """
    train = settings.train
    samples = epoch_samples(scans, settings.augment.random_crops, generator(seed, 0, ORDER))
    together = rank.size if train.sync_batch_norm else 1
    if len(samples) < together:
        raise InputError(f"train.sync_batch_norm: {len(samples)} crops for {together} processes")
    steps = share_epoch(len(samples), train.batch, micro_batch(train, rank), together)
    mine = [step[rank.number :: rank.size] for step in steps]

    def cut(number: int) -> Crop:
        return cut_sample(scans, samples[number], settings, generator(seed, number, CUT))

    crops = cut_ahead(mine, cut, torch.get_num_threads())
    for step, batches in zip(mine, crops, strict=True):
        yield [
            Part(*batch, m.weight, [generator(seed, k, TARGETS) for k in range(m.first, m.stop)])
            for m, batch in zip(step, batches, strict=True)
        ]


def epoch_samples(
    scans: Sequence[TrainingScan], random_crops: float, rng: np.random.Generator
) -> list[Sample]:
    """One sample per nodule, plus `random_crops` x nodules random ones, shuffled."""
    samples = [Sample(i, k) for i, scan in enumerate(scans) for k in range(len(scan.centres))]
    extra = round(random_crops * len(samples))
    samples += [Sample(int(i), None) for i in rng.integers(len(scans), size=extra)]
    return [samples[i] for i in rng.permutation(len(samples))]


def generator(seed: Sequence[int], crop: int, purpose: int) -> np.random.Generator:
    """The generator for one purpose of one crop of an epoch, independent of all other draws.

    seed: of the run, fold and epoch. No purpose is 0: NumPy makes the same stream of a seed with
    zeros at its end and of one without.
    """
    return np.random.default_rng([*seed, crop, purpose])


def share_epoch(samples: int, batch: int, micro: int, together: int = 1) -> list[list[MicroBatch]]:
    """The micro-batches of every batch of an epoch, of at most `micro` samples, as equal as
    possible.

    The last batch may be smaller. together: micro-batches that must be computed at the same time,
    since their statistics are synchronised; then their number in a batch is a multiple of it, and
    samples left over at the end of an epoch join the previous batch or micro-batches, which grow by
    at most one sample each.
    """
    starts = list(range(0, samples, batch))
    if len(starts) > 1 and samples - starts[-1] < together:
        starts.pop()
    return [
        share_batch(first, stop, micro, together)
        for first, stop in zip(starts, [*starts[1:], samples], strict=True)
    ]


def share_batch(first: int, stop: int, micro: int, together: int = 1) -> list[MicroBatch]:
    """Share out the samples `first` to `stop` - 1 of one batch."""
    size = stop - first
    rounds = min(math.ceil(size / (micro * together)), size // together)
    number = max(1, rounds) * together
    edges = [first + size * k // number for k in range(number + 1)]
    return [MicroBatch(a, b, (b - a) / size) for a, b in itertools.pairwise(edges)]


def micro_batch(train: TrainSettings, rank: Rank) -> int:
    """Crops that a process computes at once: as configured, or its share of the batch."""
    return train.micro_batch or math.ceil(train.batch / rank.size)


def check_sharing(train: TrainSettings, rank: Rank) -> None:
    """Raise `InputError` if a batch cannot be shared by so many processes."""
    if rank.size > train.batch:
        raise InputError(
            f"train.batch: {train.batch} crops cannot be shared by {rank.size} processes"
        )
    parts = math.ceil(train.batch / micro_batch(train, rank))
    if parts < rank.size and rank.number == 0:
        log.warning(
            "train.micro_batch: a batch has %d micro-batches, so %d of %d processes have none",
            parts,
            rank.size - parts,
            rank.size,
        )


def cut_ahead(
    steps: Iterable[Sequence[MicroBatch]], cut: Callable[[int], Crop], workers: int
) -> Iterator[list[Crop]]:
    """Images and labels (crops, z, y, x) of the micro-batches of every step, in order.

    `cut` makes a crop from its number; `workers` threads do so, one step ahead.
    """
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[list[list[Future[Crop]]]] = deque()
        for step in steps:
            ahead.append([[pool.submit(cut, k) for k in range(m.first, m.stop)] for m in step])
            if len(ahead) > STEPS_AHEAD:
                yield [stack_crops(futures) for futures in ahead.popleft()]
        while ahead:
            yield [stack_crops(futures) for futures in ahead.popleft()]


def stack_crops(futures: Sequence[Future[Crop]]) -> Crop:
    """Wait for crops; their images and labels (crops, z, y, x)."""
    images, labels = zip(*(future.result() for future in futures), strict=True)
    return np.stack(images), np.stack(labels)
