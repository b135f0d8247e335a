"""What is trained: a stage of the config on a fold, its place in the schedule, and its run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodulenet.model.network import NoduleNet
from nodulenet.settings import Branch, TrainingSettings, TrainSettings
from nodulenet.training.dataset import TrainingScan
from nodulenet.training.distributed import Rank

DECAY = 0.1
DECAY_AT = (0.5, 0.8)
"""The learning rate falls by `DECAY` after each of these fractions of all epochs."""


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
    """Learning rate of the stage's epoch (0-based), counted from the first ancestor."""
    done = stage.before + epoch
    return base * DECAY ** sum(done >= fraction * stage.total for fraction in DECAY_AT)


@dataclass(frozen=True)
class TrainingJob:
    """A stage to train on all folds but one: its input files, settings and output folder.

    manifest, folds: tables of the cohort; fold: the one that is left out; weights, momentum: files
    of the stage before: neither for a first stage, weights alone where they were not trained here.
    """

    manifest: Path
    folds: Path
    fold: int
    stage: str
    settings: TrainingSettings
    output: Path
    weights: Path | None = None
    momentum: Path | None = None

    @property
    def inputs(self) -> list[Path]:
        """The files that decide the result."""
        files = (self.manifest, self.folds, self.weights, self.momentum)
        return [file for file in files if file]

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"fold {self.fold} {self.stage}"

    def seed(self, epoch: int) -> tuple[int, int, int]:
        """Seed of everything that is drawn in an epoch, counted from the first ancestor.

        So stages that start from the same weights see the same crops.
        """
        return self.settings.train.seed, self.fold, epoch


def deciding(settings: TrainingSettings, stage: str) -> TrainingSettings:
    """The settings as far as the training of a stage depends on them; the rest as published.

    Of other stages these are the epochs; what scores the patients held out counts where there are
    any; the number of devices does not count.
    """
    watching = ("folds", "inference", "froc")
    own = settings.plain(*(n for n in TrainingSettings.model_fields if n not in watching))
    own["train"] = settings.train.part(stage).plain()
    return TrainingSettings.model_validate(own | settings.watching())


@dataclass(frozen=True)
class HeldOut:
    """Scans of a cohort, by series, that a network is scored on while it is trained."""

    manifest: Path
    folds: Path
    series: tuple[str, ...]


Scorer = Callable[[NoduleNet, HeldOut, Sequence[Branch], TrainingSettings, Rank], float]
"""The CPM of a network on scans held out, computed by all processes together."""


@dataclass(frozen=True, eq=False)
class Validation:
    """The scans held out, and the function that scores them, if any."""

    scans: Sequence[TrainingScan]
    held: HeldOut
    score: Scorer | None


@dataclass(frozen=True, eq=False)
class Run:
    """A job as one process runs it: its stage, its scans and those held out, and its rank."""

    job: TrainingJob
    stage: Stage
    rank: Rank
    scans: Sequence[TrainingScan] = ()
    validation: Validation | None = None
