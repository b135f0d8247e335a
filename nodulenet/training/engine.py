"""The training loop of one epoch: from a batch to a step of the optimiser."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodulenet.model.device import mixed_precision
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import TERMS, Diverged, Objective, loss_terms
from nodulenet.training.accumulation import accumulate, longest, totals
from nodulenet.training.distributed import ALONE, Rank
from nodulenet.training.feed import Part
from nodulenet.training.live_units import mean_shares, stays_at_chance, watched

READ_EVERY = 10
"""Steps after which the host reads the losses, and waits for the device."""


@dataclass(frozen=True, eq=False)
class Learner:
    """What a process trains and how: network, optimiser, objective, and its rank."""

    net: NoduleNet
    optimiser: torch.optim.SGD
    objective: Objective
    rank: Rank = ALONE

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.net.parameters()).device


@dataclass(frozen=True)
class EpochResult:
    """Mean loss and loss terms over the steps, their number, crops and seconds.

    crops: of all processes; seconds: of the epoch; wait: those of them that the process that
    waited longest spent waiting for its crops. live: mean share of live units by column of
    history.csv; at_chance: whether DFPS was at chance level in every step.
    """

    loss: float
    terms: dict[str, float]
    steps: int
    crops: int
    seconds: float
    wait: float
    live: Mapping[str, float] = field(default_factory=dict)
    at_chance: bool = False


class Ledger:
    """The loss terms of every step of an epoch, which stay on the device for `READ_EVERY` steps."""

    def __init__(self) -> None:
        self.read: list[list[float]] = []
        self.waiting: list[Tensor] = []

    def add(self, terms: Tensor) -> None:
        """Add the terms (5,) of a step. Raises `Diverged` within `READ_EVERY` steps of the first
        loss that is not finite."""
        self.waiting.append(terms)
        if len(self.waiting) == READ_EVERY:
            self.settle()

    def settle(self) -> None:
        """Read what waits on the device. Raises `Diverged`."""
        if self.waiting:
            self.read += torch.stack(self.waiting).tolist()
            self.waiting.clear()
        for step, terms in enumerate(self.read, 1):
            if not math.isfinite(sum(terms)):
                raise Diverged(f"the loss is {sum(terms)} after {step} steps")

    def means(self) -> dict[str, float]:
        """The mean of each term over the steps."""
        number = max(len(self.read), 1)
        return {n: sum(row[k] for row in self.read) / number for k, n in enumerate(TERMS)}


def train_one_epoch(learner: Learner, feed: Iterable[Sequence[Part]]) -> EpochResult:
    """One pass over the batches, each given as the parts that this process computes.

    Every process must be given as many batches, some of them possibly empty. Raises `Diverged`.
    """
    learner.net.train()
    begin, crops, wait, ledger = time.perf_counter(), 0, 0.0, Ledger()
    with watched(learner.net) as live_shares:
        for parts, seconds in timed(feed):
            ledger.add(train_step(learner, parts))
            crops, wait = crops + sum(len(part.crops.images) for part in parts), wait + seconds
        ledger.settle()
    objective, rank, device = learner.objective, learner.rank, learner.device
    wait, live = longest(wait, rank, device), mean_shares(live_shares, rank, device)
    crops = round(totals([float(crops)], rank, device)[0])
    means = ledger.means()
    used = {name: means[name] for name in objective.terms}
    of_dfps = [row[TERMS.index("dfps_class")] for row in ledger.read]
    stuck = stays_at_chance(of_dfps, objective.settings.dfps.weight)
    seconds, steps = time.perf_counter() - begin, len(ledger.read)
    return EpochResult(sum(used.values()), used, steps, crops, seconds, wait, live, stuck)


def train_step(learner: Learner, parts: Sequence[Part]) -> Tensor:
    """One step on a batch; its loss terms over all processes, ordered as `TERMS`, (5,)."""
    learner.optimiser.zero_grad(set_to_none=True)
    if len(parts) == 1 and learner.rank.size == 1:  # no copy of gradients and statistics
        terms = backward(learner.net, parts[0], learner.objective)
    else:
        terms = accumulate(
            learner.net,
            parts,
            lambda part: backward(learner.net, part, learner.objective),
            learner.rank,
        )
    learner.optimiser.step()  # at the rate of the epoch, or less by a hook of `warm_up`
    return terms


def backward(net: NoduleNet, part: Part, objective: Objective) -> Tensor:
    """Add the gradients of a part of a batch to the network's; its share of the terms, (5,)."""
    terms = shares_of(net, part, objective)
    torch.stack(list(terms.values())).sum().backward()
    nothing = torch.zeros((), device=part.crops.images.device)
    return torch.stack([terms.get(name, nothing).detach() for name in TERMS])


def shares_of(net: NoduleNet, part: Part, objective: Objective) -> dict[str, Tensor]:
    """The share that a part of a batch has in the loss terms of the whole batch."""
    with mixed_precision(part.crops.images.device, objective.settings.train.amp):
        terms = loss_terms(net, part.crops, objective)
        added = objective.summed
        return {n: t * (1.0 if n in added else part.weight) for n, t in terms.items()}


def timed(feed: Iterable[Sequence[Part]]) -> Iterator[tuple[Sequence[Part], float]]:
    """Each item, with the seconds spent waiting for it."""
    items = iter(feed)
    while True:
        begin = time.perf_counter()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, time.perf_counter() - begin
