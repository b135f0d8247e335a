"""How an epoch's batches are shared out in micro-batches to the processes of a training."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MicroBatch:
    """Samples `first` to `stop` - 1 of an epoch; weight: their share of the batch's samples."""

    first: int
    stop: int
    weight: float


def share_epoch(samples: int, batch: int, micro: int, together: int = 1) -> list[list[MicroBatch]]:
    """The micro-batches of every batch of an epoch, of at most `micro` samples, as even as can be.

    The last batch may be smaller. together: micro-batches that must be computed at the same time,
    since their statistics are synchronised; then their number in a batch is a multiple of it, and
    what is left over at the end of an epoch joins the batch or the micro-batches before, which
    grow by at most one sample each.
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


def own_share(
    steps: Sequence[Sequence[MicroBatch]], number: int, size: int
) -> list[list[MicroBatch]]:
    """What process `number` of `size` computes of every batch, in turn; maybe nothing of one."""
    return [list(step[number::size]) for step in steps]
