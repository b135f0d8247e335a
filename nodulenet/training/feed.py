"""The crops of an epoch: which are drawn, which process computes which, and cutting them ahead.

A batch is split into micro-batches, which are assigned to the processes of the training in turn.
"""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nodulenet.ahead import made_ahead
from nodulenet.files import InputError
from nodulenet.model.objective import Crops
from nodulenet.model.targets import TruthBoxes, padded_truth, truth_boxes
from nodulenet.settings import AugmentSettings, Recipe, TrainSettings
from nodulenet.training.dataset import Sample, TrainingScan, cut_sample
from nodulenet.training.distributed import Rank

log = logging.getLogger(__name__)

ORDER, CUT, TARGETS = 1, 2, 3
"""What is drawn: the order of an epoch's samples, how a crop is cut, and its targets."""

CUT_AHEAD, SENT_AHEAD = 2, 1
"""How many further steps are being cut when one is sent, and have been sent to a GPU when one is
taken."""


@dataclass(frozen=True)
class MicroBatch:
    """Which samples of an epoch a micro-batch has: `first` to `stop` - 1.

    weight: their share of the batch's samples. It becomes a `Cutting`, then a `Part`.
    """

    first: int
    stop: int
    weight: float


@dataclass(frozen=True, eq=False)
class Part:
    """A micro-batch as it is computed: its crops and its weight in the batch."""

    crops: Crops
    weight: float


@dataclass(frozen=True, eq=False)
class Cutting:
    """A micro-batch whose crops are being cut into images uint8 and nodules bool, both (crops, 1,
    z, y, x) in main memory; truths: futures of each crop's truth boxes, done when it is cut.
    """

    batch: MicroBatch
    images: Tensor
    nodules: Tensor
    truths: Sequence[Future[TruthBoxes]]


def epoch_feed(
    scans: Sequence[TrainingScan],
    settings: Recipe,
    seed: Sequence[int],
    rank: Rank,
    device: torch.device,
) -> Iterator[list[Part]]:
    """The parts of every batch of an epoch that this process computes, on its device.

    All processes draw the same samples. Each crop and its targets have their own seeds, so they do
    not depend on the process or on other crops.
    """
    train = settings.train
    samples = epoch_samples(scans, settings.augment, generator(seed, 0, ORDER))
    together = rank.size if train.sync_batch_norm else 1
    if len(samples) < together:
        raise InputError(f"train.sync_batch_norm: {len(samples)} crops for {together} processes")
    steps = share_epoch(len(samples), train.batch, micro_batch(train, rank), together)
    margin = settings.targets.margin_total

    def cut(number: int, image: Tensor, nodules: Tensor) -> TruthBoxes:
        """Cut crop `number` into `image` and `nodules`, without listed ones; its truth boxes."""
        scan = scans[samples[number].scan]
        own = generator(seed, number, CUT)
        voxels, labels = cut_sample(scans, samples[number], settings, own)
        image.numpy()[0] = voxels
        drawn = labels > 0 if scan.outlined else False
        nodules.numpy()[0] = drawn
        return truth_boxes(labels, margin, scan.unsized)

    def cut_step(step: Sequence[MicroBatch]) -> list[Cutting]:
        return [start_cutting(pool, cut, batch, train.crop, device) for batch in step]

    def send_step(step: Sequence[Cutting]) -> list[Part]:
        return [send(cutting, seed, device) for cutting in step]

    with ThreadPoolExecutor(train.workers or torch.get_num_threads()) as pool:
        mine = (step[rank.number :: rank.size] for step in steps)
        cutting = made_ahead(map(cut_step, mine), CUT_AHEAD)
        yield from sent_ahead(map(send_step, cutting), device)


def start_cutting(
    pool: ThreadPoolExecutor,
    cut: Callable[[int, Tensor, Tensor], TruthBoxes],
    batch: MicroBatch,
    side: int,
    device: torch.device,
) -> Cutting:
    """Let the threads of a pool cut the crops of a micro-batch.

    For a GPU they lie in pinned memory, from which it can copy by itself.
    """
    shape, pinned = (batch.stop - batch.first, 1, *(side,) * 3), device.type == "cuda"
    images = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
    nodules = torch.empty(shape, dtype=torch.bool, pin_memory=pinned)
    crops = zip(range(batch.first, batch.stop), images, nodules, strict=True)
    return Cutting(batch, images, nodules, [pool.submit(cut, *crop) for crop in crops])


def send(cutting: Cutting, seed: Sequence[int], device: torch.device) -> Part:
    """Wait for the crops of a micro-batch and send them to the device."""
    batch = cutting.batch
    truth, sized = padded_truth([future.result() for future in cutting.truths])
    seeds = [target_seed(seed, number) for number in range(batch.first, batch.stop)]

    def sent(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    crops = Crops(
        images=sent(cutting.images),
        nodules=sent(cutting.nodules),
        masks=cutting.nodules.numpy()[:, 0],
        truth=sent(torch.from_numpy(truth)),
        sized=sent(torch.from_numpy(sized)),
        seeds=sent(torch.tensor(seeds)),
    )
    return Part(crops, batch.weight)


def sent_ahead(steps: Iterator[list[Part]], device: torch.device) -> Iterator[list[Part]]:
    """Give the steps in order.

    On a GPU, the copies of the next step are queued on a separate stream before a step is given;
    the current stream waits for a step's copies before it computes it.
    """
    if device.type != "cuda":
        yield from steps
        return
    stream = copy_stream(device)

    def sent() -> Iterator[tuple[list[Part], torch.cuda.Event]]:
        while True:
            with torch.cuda.stream(stream):
                step = next(steps, None)
            if step is None:
                return
            yield step, stream.record_event()

    for step, event in made_ahead(sent(), SENT_AHEAD):
        torch.cuda.current_stream(device).wait_event(event)
        for part in step:
            part.crops.use_on(torch.cuda.current_stream(device))
        yield step


@lru_cache
def copy_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream of a GPU for copies; torch keeps memory for every stream that was used."""
    return torch.cuda.Stream(device)


def epoch_samples(
    scans: Sequence[TrainingScan], augment: AugmentSettings, rng: np.random.Generator
) -> list[Sample]:
    """One sample per nodule, plus `random_crops` x nodules random ones and `hard_negatives` x
    nodules of the hard negatives, as many as there are at most; shuffled."""
    samples = [Sample(i, k) for i, scan in enumerate(scans) for k in range(len(scan.centres))]
    extra = round(augment.random_crops * len(samples))
    hard = round(augment.hard_negatives * len(samples))
    samples += [Sample(int(i)) for i in rng.integers(len(scans), size=extra)]
    if hard:
        known = [
            Sample(i, None, k) for i, one in enumerate(scans) for k in range(len(one.negatives))
        ]
        samples += [known[int(i)] for i in rng.permutation(len(known))[:hard]]
    return [samples[i] for i in rng.permutation(len(samples))]


def generator(seed: Sequence[int], crop: int, purpose: int) -> np.random.Generator:
    """The generator for one purpose of one crop of an epoch, independent of all other draws.

    seed: of the run, fold and epoch. No purpose is 0: NumPy makes the same stream of a seed with
    zeros at its end and of one without.
    """
    return np.random.default_rng([*seed, crop, purpose])


def target_seed(seed: Sequence[int], crop: int) -> int:
    """The seed, 64 bits with a sign, from which the targets of one crop of an epoch are drawn."""
    state = np.random.SeedSequence([*seed, crop, TARGETS]).generate_state(1, np.uint64)
    return int(state.view(np.int64)[0])


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
