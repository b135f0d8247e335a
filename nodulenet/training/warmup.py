"""A rate that rises: what is new in a stage starts slowly, so that its units live on."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from nodulenet.model.settings import Branch
from nodulenet.training.settings import Optimisation


def parameter_groups(
    net: nn.Module, branches: Sequence[Branch], known: Iterable[str] | None, warmup: int
) -> list[dict[str, Any]]:
    """The groups of parameters of an optimiser; those that are new in a stage have `new` set.

    New are the heads of the stage's branches that the weights it starts from were not trained
    for, whose branches are `known`; the whole network where it starts from none (None). Without
    a warm-up all are one group.
    """
    named = dict(net.named_parameters())
    if warmup == 0:
        return [{"params": list(named.values()), "new": False}]
    if known is None:
        return [{"params": list(named.values()), "new": True}]
    heads = tuple(f"{branch}." for branch in branches if branch not in set(known))
    fresh = [name for name in named if name.startswith(heads)] if heads else []
    old = [p for name, p in named.items() if name not in fresh]
    groups: list[dict[str, Any]] = [{"params": old, "new": False}]
    return groups + ([{"params": [named[n] for n in fresh], "new": True}] if fresh else [])


def set_rate(optimiser: torch.optim.SGD, rate: float) -> None:
    """The learning rate of an epoch."""
    for group in optimiser.param_groups:
        group["lr"] = group["full"] = rate


def warm_up(optimiser: torch.optim.SGD, optimisation: Optimisation, done: int) -> None:
    """Let the rate of the new parameters rise linearly over the first steps of a stage.

    done: steps of the stage made before, by a training that was killed. Step n of them, counted
    from 1, has the share n / `warmup` of the epoch's rate.
    """
    steps = itertools.count(done + 1)

    def before_step(*_: Any) -> None:
        share = next(steps) / optimisation.warmup
        for group in optimiser.param_groups:
            if group["new"] and share <= 1:
                group["lr"] = group["full"] * share

    if optimisation.warmup:
        optimiser.register_step_pre_hook(before_step)
