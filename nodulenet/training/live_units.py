"""Live hidden units of the heads, and whether DFPS learns at all.

A unit that is negative for every box has no gradient after its ReLU and never recovers. With a
high learning rate at the start most units of a head can die.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nodulenet.training.accumulation import totals
from nodulenet.training.distributed import Rank

LAYERS = {"ncs_live": "ncs.body.1", "dfps_live_1": "dfps.body.1", "dfps_live_2": "dfps.body.3"}
"""Column of history.csv -> the ReLU whose units are counted."""

CHANCE = math.log(2)
"""Loss at chance level of a classifier of two equally weighted classes."""

NEAR, FEWEST = 0.02, 5
"""For a warning: maximum distance of every step's loss from `CHANCE`, minimum number of steps."""


@dataclass
class Shares:
    """Sums of the shares of live units by column of history.csv, and over how many passes."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)


def live_share(activations: Tensor) -> Tensor:
    """Share of the units or channels of (N, C, ...) that are positive anywhere in N and beyond."""
    return (activations > 0).transpose(0, 1).flatten(1).any(1).float().mean()


@contextmanager
def watched(net: nn.Module) -> Iterator[Shares]:
    """Within the context, count the live units in every forward pass of the heads."""
    shares = Shares()

    def counting(column: str) -> torch.utils.hooks.RemovableHandle:
        def count(_: nn.Module, __: object, output: Tensor) -> None:
            before = shares.sums.get(column, 0)
            shares.sums[column] = before + live_share(output.detach())
            shares.passes[column] = shares.passes.get(column, 0) + 1

        return net.get_submodule(LAYERS[column]).register_forward_hook(count)

    hooks = [counting(column) for column in LAYERS]
    try:
        yield shares
    finally:
        for hook in hooks:
            hook.remove()


def mean_shares(shares: Shares, rank: Rank, device: torch.device) -> dict[str, float]:
    """Mean share of live units over the passes of all processes; layers never used are omitted."""
    own = [float(found.get(c, 0)) for found in (shares.sums, shares.passes) for c in LAYERS]
    whole = totals(own, rank, device)
    sums, passes = whole[: len(LAYERS)], whole[len(LAYERS) :]
    return {c: total / n for c, total, n in zip(LAYERS, sums, passes, strict=True) if n}


def stays_at_chance(losses: Sequence[float], weight: float) -> bool:
    """Whether the class loss of DFPS, of the weight given, stayed near ln 2 at every step."""
    return len(losses) >= FEWEST and all(abs(x - CHANCE * weight) < NEAR * weight for x in losses)
