"""The sections of the config that decide a training, as typed records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodulenet.model.objective import Objective
from nodulenet.model.settings import DfpsSettings, NcsSettings, SrSettings
from nodulenet.training.crops import Augmentation
from nodulenet.training.stages import Stage

OTHERS = ("stages", "evaluate", "gpus")
"""Keys of the section `train` that are no part of the optimisation."""


@dataclass(frozen=True)
class Optimisation:
    """SGD and the crops it sees: batch in crops, crop in voxels a side, lr at the first epoch.

    micro_batch: crops that a device computes at once, None for its share of the batch. warmup:
    steps in which the rate of what is new in a stage rises; validate_every: epochs between two
    scorings of the patients held out.
    """

    batch: int = 16
    crop: int = 128
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    device: str = "auto"
    amp: bool = True
    seed: int = 0
    micro_batch: int | None = None
    sync_batch_norm: bool = False
    warmup: int = 0
    validate_every: int = 10


def read_optimisation(train: Mapping[str, Any]) -> Optimisation:
    """The config's section `train` without its stages and the number of GPUs."""
    return Optimisation(**{k: v for k, v in train.items() if k not in OTHERS})


def read_augmentation(augment: Mapping[str, Any]) -> Augmentation:
    """The config's section `augment`."""
    return Augmentation(**{**augment, "scale": tuple(augment["scale"])})


def read_objective(settings: Mapping[str, Any], stage: Stage) -> Objective:
    """The branches of a stage with the config's sections `ncs`, `dfps`, `sr` and `targets`."""
    return Objective(
        stage.branches,
        NcsSettings(**settings["ncs"]),
        DfpsSettings(**settings["dfps"]),
        SrSettings(**settings["sr"]),
        settings["targets"]["margin_total"],
    )
