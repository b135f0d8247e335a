"""What one training is: its stage, fold and settings, and who watches it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodulenet.model.network import NoduleNet
from nodulenet.model.settings import Branch
from nodulenet.training.dataset import TrainingScan
from nodulenet.training.distributed import Rank
from nodulenet.training.stages import Stage


@dataclass(frozen=True)
class HeldOut:
    """Scans of a cohort, by series, that a network is scored on while it is trained."""

    manifest: Path
    folds: Path
    series: tuple[str, ...]


Scorer = Callable[[NoduleNet, HeldOut, Sequence[Branch], Mapping[str, Any], Rank], float]
"""The CPM of a network on scans held out, by all processes together; the sections of the config."""


@dataclass(frozen=True, eq=False)
class Validation:
    """The scans held out, and who scores them, where anybody does."""

    scans: Sequence[TrainingScan]
    held: HeldOut
    score: Scorer | None


@dataclass(frozen=True, eq=False)
class Run:
    """A stage on a fold: settings are the config's sections, mark the fingerprint of it all."""

    stage: Stage
    fold: int
    settings: Mapping[str, Any]
    mark: str
    output: Path
    rank: Rank
    validation: Validation | None
