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
from nodulenet.training.accumulation import accumulate, longest
from nodulenet.training.distributed import ALONE, Rank
from nodulenet.training.feed import Part
from nodulenet.training.live_units import mean_shares, stays_at_chance, watched


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


def train_one_epoch(learner: Learner, feed: Iterable[Sequence[Part]]) -> EpochResult:
    """One pass over the batches, each given as the parts that this process computes.

    Every process must be given as many batches, some of them possibly empty. Raises `Diverged`.
    """
    learner.net.train()
    begin, crops, steps, wait = time.perf_counter(), 0, 0, 0.0
    sums, dfps_class = torch.zeros(len(TERMS)), []
    with watched(learner.net) as live_shares:
        for parts, seconds in timed(feed):
            terms, drawn = train_step(learner, parts)
            steps, crops, wait = steps + 1, crops + drawn, wait + seconds
            sums += torch.tensor(terms)
            dfps_class.append(terms[TERMS.index("dfps_class")])
            if not math.isfinite(float(sums.sum())):
                raise Diverged(f"the loss is {sum(terms)} after {steps} steps")
    objective, rank, device = learner.objective, learner.rank, learner.device
    wait, live = longest(wait, rank, device), mean_shares(live_shares, rank, device)
    means = {n: float(v) for n, v in zip(TERMS, sums / max(steps, 1), strict=True)}
    used = {name: means[name] for name in objective.terms}
    stuck = stays_at_chance(dfps_class, objective.settings.dfps.weight)
    seconds = time.perf_counter() - begin
    return EpochResult(sum(used.values()), used, steps, crops, seconds, wait, live, stuck)


def train_step(learner: Learner, parts: Sequence[Part]) -> tuple[list[float], int]:
    """One step on a batch: its loss terms, ordered as `TERMS`, and crops, over all processes."""
    learner.optimiser.zero_grad(set_to_none=True)

    def backward_part(part: Part) -> dict[str, Tensor]:
        return backward(learner.net, part, learner.objective)

    if len(parts) == 1 and learner.rank.size == 1:
        terms = backward_part(parts[0])
        totals = [float(terms.get(name, 0.0)) for name in TERMS]
        crops = len(parts[0].images)
    else:
        totals, crops = accumulate(learner.net, parts, backward_part, learner.rank)
    learner.optimiser.step()  # at the rate of the epoch, or less by a hook of `warm_up`
    return totals, crops


def backward(net: NoduleNet, part: Part, objective: Objective) -> dict[str, Tensor]:
    """Add the gradients of a part of a batch to the network's; its share of the loss terms."""
    terms = shares_of(net, part, objective)
    torch.stack(list(terms.values())).sum().backward()
    return {name: term.detach() for name, term in terms.items()}


def shares_of(net: NoduleNet, part: Part, objective: Objective) -> dict[str, Tensor]:
    """The share that a part of a batch has in the loss terms of the whole batch."""
    device = next(net.parameters()).device
    image = torch.from_numpy(part.images)[:, None].to(device)
    with mixed_precision(device, objective.settings.train.amp):
        terms = loss_terms(net, image, part.labels, objective, part.rngs)
        summed = objective.summed
        return {n: t * (1.0 if n in summed else part.weight) for n, t in terms.items()}


def timed(feed: Iterable[Sequence[Part]]) -> Iterator[tuple[Sequence[Part], float]]:
    """Every item with the seconds that it was waited for."""
    items = iter(feed)
    while True:
        begin = time.perf_counter()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, time.perf_counter() - begin
