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

    manifest, folds: tables of the cohort; fold: the held-out one; weights, momentum: files of the
    previous stage: neither for a first stage, only weights if they were given in the config.
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
        """The input files that the result depends on."""
        files = (self.manifest, self.folds, self.weights, self.momentum)
        return [file for file in files if file]

    @property
    def name(self) -> str:
        """Its name in the log."""
        return f"fold {self.fold} {self.stage}"

    def seed(self, epoch: int) -> tuple[int, int, int]:
        """Seed of everything that is drawn in an epoch, counted from the first ancestor.

        So stages that start from the same weights see the same crops.
        """
        return self.settings.train.seed, self.fold, epoch


def deciding(settings: TrainingSettings, stage: str) -> TrainingSettings:
    """The settings that the training of a stage depends on; the rest as published.

    They include the epochs of other stages and, if patients are held out, the settings that score
    them, but not the number of devices.
    """
    watching = ("folds", "inference", "froc")
    own = settings.plain(*(n for n in TrainingSettings.model_fields if n not in watching))
    own["train"] = settings.train.part(stage).plain()
    return TrainingSettings.model_validate(own | settings.watching())


@dataclass(frozen=True)
class HeldOut:
    """Scans of a cohort, by series, that a network is scored on during training."""

    manifest: Path
    folds: Path
    series: tuple[str, ...]


Scorer = Callable[[NoduleNet, HeldOut, Sequence[Branch], TrainingSettings, Rank], float]
"""The CPM of a network on held-out scans, computed by all processes together."""


@dataclass(frozen=True, eq=False)
class Validation:
    """The held-out scans, and the function that scores them, if any."""

    scans: Sequence[TrainingScan]
    held: HeldOut
    score: Scorer | None


@dataclass(frozen=True, eq=False)
class Run:
    """A job in one process: its stage, the training and held-out scans, and the rank."""

    job: TrainingJob
    stage: Stage
    rank: Rank
    scans: Sequence[TrainingScan] = ()
    validation: Validation | None = None
