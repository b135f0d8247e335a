"""A stage of the config, its place in the schedule, and its learning rates."""

from collections.abc import Sequence
from dataclasses import dataclass

from nodulenet.settings import Branch, TrainSettings

DECAY = 0.1
DECAY_AT = (0.5, 0.8)
"""The learning rate is multiplied by `DECAY` after each of these fractions of all epochs."""


@dataclass(frozen=True)
class Stage:
    """A stage and its place among the others.

    epochs: its own; before: those of its ancestors; total: those of the longest line of stages
    that it is part of.
    """

    name: str
    branches: Sequence[Branch]
    epochs: int
    before: int
    total: int


def resolve_stage(train: TrainSettings, name: str) -> Stage:
    """Look up a stage of the config. Raises `KeyError` if there is no such stage."""
    own = train.stages[name]
    before = sum(train.stages[ancestor].epochs for ancestor in train.ancestors(name))
    total = before + own.epochs + train.longest_after(name)
    return Stage(name, own.branches, own.epochs, before, total)


def learning_rate(base: float, stage: Stage, epoch: int) -> float:
    """Learning rate in an epoch of the stage, counted from 0 within the stage; the schedule runs
    from the first ancestor on."""
    done = stage.before + epoch
    return base * DECAY ** sum(done >= fraction * stage.total for fraction in DECAY_AT)
