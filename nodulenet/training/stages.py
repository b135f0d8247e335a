"""The graph of training stages: who starts from whom, and the learning rate at each epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nodulenet.files import InputError
from nodulenet.model.settings import Branch

DECAY = 0.1
DECAY_AT = (0.5, 0.8)
"""The learning rate falls by `DECAY` after each of these fractions of all epochs."""


@dataclass(frozen=True)
class Stage:
    """One stage: its branches, its epochs, and those before it and in all.

    before: epochs of its ancestors; total: epochs of the longest chain through it.
    """

    name: str
    branches: Sequence[Branch]
    epochs: int
    before: int
    total: int


def resolve_stage(stages: Mapping[str, Mapping[str, Any]], name: str) -> Stage:
    """Look up a stage of the config's graph (`name: {after, epochs, branches}`).

    Raises `InputError` for an unknown ancestor and for a circle.
    """
    chain = [name]
    while after := stages[chain[-1]].get("after"):
        if after in chain or after not in stages:
            raise InputError(f"train.stages.{chain[-1]}.after: {after!r} is no stage before it")
        chain.append(after)
    before = sum(stages[ancestor]["epochs"] for ancestor in chain[1:])
    own = stages[name]
    return Stage(name, own["branches"], own["epochs"], before, before + longest_chain(stages, name))


def longest_chain(stages: Mapping[str, Mapping[str, Any]], name: str) -> int:
    """Epochs of a stage and the longest line of its descendants."""
    children = [child for child, stage in stages.items() if stage.get("after") == name]
    below = max((longest_chain(stages, child) for child in children), default=0)
    return int(stages[name]["epochs"]) + below


def learning_rate(base: float, stage: Stage, epoch: int) -> float:
    """Learning rate of the stage's epoch (0-based), counted on from the first ancestor."""
    done = stage.before + epoch
    return base * DECAY ** sum(done >= fraction * stage.total for fraction in DECAY_AT)
