"""A training job, one stage with one fold held out, and what a process needs to run it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodulenet.model.network import NoduleNet
from nodulenet.settings import Branch, Recipe
from nodulenet.training.dataset import TrainingScan
from nodulenet.training.distributed import Rank
from nodulenet.training.stages import Stage


@dataclass(frozen=True)
class TrainingJob:
    """A stage to train on all folds but one: its input files, settings and output folder.

    manifest, folds: tables of the cohort; fold: the held-out one; weights, momentum: files of the
    previous stage. A first stage has no momentum, and weights only from `train.init`; a stage after
    given weights has no momentum either. hard_negatives: the table of them, if any.
    """

    manifest: Path
    folds: Path
    fold: int
    stage: str
    settings: Recipe
    output: Path
    weights: Path | None = None
    momentum: Path | None = None
    hard_negatives: Path | None = None

    @property
    def inputs(self) -> list[Path]:
        """The input files that the result depends on."""
        files = (self.manifest, self.folds, self.weights, self.momentum, self.hard_negatives)
        return [file for file in files if file]

    @property
    def deciding(self) -> Recipe:
        """The settings that the result depends on."""
        return self.settings.deciding(self.stage)

    @property
    def name(self) -> str:
        """Its name in the log."""
        return f"fold {self.fold} {self.stage}"

    def seed(self, epoch: int) -> tuple[int, int, int]:
        """Seed of everything that is drawn in an epoch, counted from the first ancestor.

        So stages that start from the same weights see the same crops.
        """
        return self.settings.train.seed, self.fold, epoch


@dataclass(frozen=True)
class HeldOut:
    """Scans of a cohort, by series, that a network is scored on during training."""

    manifest: Path
    folds: Path
    series: tuple[str, ...]


Scorer = Callable[[NoduleNet, HeldOut, Sequence[Branch], Recipe, Rank], float]
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
