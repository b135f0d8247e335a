"""The training loop of one epoch."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.model.device import mixed_precision
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import Diverged, Objective, loss_terms
from nodulenet.training.averaging import (
    Sums,
    give_gradients,
    longest,
    set_statistics,
    statistics_of,
    sum_over_ranks,
    take_gradients,
)
from nodulenet.training.distributed import Rank
from nodulenet.training.units import mean_shares, stays_at_chance, watched

TERMS = ("ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr")
ALONE = Rank()


@dataclass(frozen=True, eq=False)
class Part:
    """A micro-batch: images and labels (crops, z, y, x), its weight in the batch, and for each
    crop the generator that draws its targets."""

    images: NDArray[np.uint8]
    labels: NDArray[np.integer]
    weight: float
    rngs: Sequence[np.random.Generator]


@dataclass(frozen=True)
class EpochResult:
    """Mean loss and loss terms over the steps, their number, crops and seconds.

    crops: of all processes; seconds: of the epoch; wait: those of them that the process that
    waited longest spent waiting for its crops. live: mean share of live units by column of
    history.csv; at_chance: whether DFPS told nothing apart at any step.
    """

    loss: float
    terms: dict[str, float]
    steps: int
    crops: int
    seconds: float
    wait: float
    live: Mapping[str, float] = field(default_factory=dict)
    at_chance: bool = False


def train_one_epoch(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    feed: Iterable[Sequence[Part]],
    objective: Objective,
    amp: bool,
    rank: Rank = ALONE,
) -> EpochResult:
    """One pass over the batches, each given as the parts that this process computes.

    Every process must be given as many batches, of some of them maybe no part. Raises `Diverged`.
    """
    net.train()
    begin, crops, steps, wait = time.perf_counter(), 0, 0, 0.0
    sums, suppression = torch.zeros(len(TERMS)), []
    with watched(net) as shares:
        for parts, seconds in timed(feed):
            counts = [float(len(part.images)) for part in parts]
            *terms, drawn = train_step(net, optimiser, parts, objective, amp, rank, sum(counts))
            steps, crops, wait = steps + 1, crops + round(drawn), wait + seconds
            sums += torch.tensor(terms)
            suppression.append(terms[TERMS.index("dfps_class")])
            if not math.isfinite(float(sums.sum())):
                raise Diverged(f"the loss is {sum(terms)} after {steps} steps")
    device = next(net.parameters()).device
    wait, live = longest(wait, rank, device), mean_shares(shares, rank, device)
    means = {n: float(v) for n, v in zip(TERMS, sums / max(steps, 1), strict=True)}
    used = {name: means[name] for name in term_names(objective)}
    stuck = stays_at_chance(suppression, objective.dfps.weight)
    seconds = time.perf_counter() - begin
    return EpochResult(sum(used.values()), used, steps, crops, seconds, wait, live, stuck)


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


def train_step(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    parts: Sequence[Part],
    objective: Objective,
    amp: bool,
    rank: Rank,
    count: float,
) -> list[float]:
    """One step on a batch; the loss terms of the batch and the sum of `count`, over all processes.

    The gradients of the parts are summed with their weights. Each part is normalised by its own
    statistics; the running ones are the weighted mean of what each part alone would make of
    those before the step.
    """
    optimiser.zero_grad(set_to_none=True)
    before = statistics_of(net)
    after, sums = torch.zeros_like(before), Sums()
    terms = dict.fromkeys(TERMS, 0.0)
    for part in parts:
        set_statistics(net, before)
        for name, term in backward(net, part, objective, amp).items():
            terms[name] += float(term)
        sums = take_gradients(net, sums)
        after += part.weight * statistics_of(net)
    sums, after, totals = sum_over_ranks(net, sums, after, [*terms.values(), count], rank)
    give_gradients(net, sums)
    set_statistics(net, after)
    optimiser.step()
    return totals


def backward(net: NoduleNet, part: Part, objective: Objective, amp: bool) -> Mapping[str, Tensor]:
    """Add the gradients of a part of a batch to the network's; its share of the loss terms."""
    shares = shares_of(net, part, objective, amp)
    torch.stack(list(shares.values())).sum().backward()
    return {name: term.detach() for name, term in shares.items()}


def shares_of(net: NoduleNet, part: Part, objective: Objective, amp: bool) -> dict[str, Tensor]:
    """The share that a part of a batch has in the loss terms of the whole batch."""
    device = next(net.parameters()).device
    image = torch.from_numpy(part.images)[:, None].to(device)
    with mixed_precision(device, amp):
        terms = loss_terms(net, image, part.labels, objective, part.rngs)
        summed = summed_terms(objective)
        return {n: t * (1.0 if n in summed else part.weight) for n, t in terms.items()}


def summed_terms(objective: Objective) -> tuple[str, ...]:
    """Terms that are sums over the batch, and so over its micro-batches; the others are means."""
    return ("sr",) if objective.sr.reduction == "sum" else ()


def term_names(objective: Objective) -> list[str]:
    """The loss terms of a stage."""
    wanted = {"ncs_class": True, "ncs_box": True}
    wanted["dfps_class"] = "dfps" in objective.branches
    wanted["dfps_box"] = "dfps" in objective.branches and objective.dfps.regression
    wanted["sr"] = "sr" in objective.branches
    return [name for name in TERMS if wanted[name]]
