"""Three tiny scans to train on, and the settings of a quick training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from nodulenet.cohort.folds import write_folds
from nodulenet.cohort.manifest import COLUMNS, COUNTS, SHAPE, write_manifest
from nodulenet.imaging import Volume, write_scan
from nodulenet.settings import PreprocessSettings, Recipe
from nodulenet.training import TrainingJob
from nodulenet.training import train as train_module

ENDINGS = {"volume": ".npy", "mask": "_mask.npy", "record": ".json"}
NUMBERS = (*COUNTS, *SHAPE)
PREPROCESS = PreprocessSettings().plain()
SETTINGS: dict[str, Any] = {
    "preprocess": {"pad_value": 170},
    "model": {"width": 0.1, "dfps_features": "enc2"},
    "ncs": {"negatives": 50},
    "dfps": {},
    "sr": {},
    "targets": {"margin_total": 8},
    "augment": {"scale": [0.9, 1.1], "random_crops": 0.5},
    "train": {
        "stages": {
            "ncs": {"epochs": 3, "branches": ["ncs"]},
            "full": {"after": "ncs", "epochs": 1, "branches": ["ncs", "dfps", "sr"]},
        },
        "evaluate": ["full"],
        "batch": 2,
        "crop": 32,
        "device": "cpu",
        "amp": False,
    },
}


def write_cohort(
    root: Path,
    nodules: bool = True,
    scans: int = 3,
    outlined: bool = True,
    unsized: Sequence[int] = (),
) -> tuple[Path, Path]:
    """Scans of noise, all but the last with a bright cube, and their tables.

    Scans with an even number are in fold 0, the others in fold 1. outlined: whether the cubes are
    what readers drew. unsized: the labels whose size is unknown; all cubes have the label 1.
    """
    rows = []
    for k in range(scans):
        uid = f"1.{k}"
        image = np.random.default_rng(k).integers(0, 60, (36, 40, 44)).astype(np.uint8)
        labels = np.zeros(image.shape, np.uint8)
        if nodules and k < scans - 1:
            labels[12:20, 14:22, 16 + k : 24 + k] = 1
            image[labels > 0] = 200
        paths = {name: f"{uid}{end}" for name, end in ENDINGS.items()}
        volume = Volume(image, np.eye(4))
        files = {name: root / paths[name] for name in ("volume", "record", "mask")}
        record = {"status": "ok", "preprocess": PREPROCESS, "outlined": outlined}
        write_scan(files, volume, labels, {**record, "unsized": list(unsized)})
        rows.append({"series_uid": uid, "patient_id": uid, "status": "ok", "fold": k % 2} | paths)
    table = pd.DataFrame(rows)
    write_folds(table[["series_uid", "patient_id", "fold"]], root / "folds.tsv")
    empty = {name: 0 if name in NUMBERS else "" for name in COLUMNS if name not in table}
    write_manifest(table.assign(**empty)[list(COLUMNS)], root / "manifest.tsv")
    return root / "manifest.tsv", root / "folds.tsv"


def job(
    cohort: tuple[Path, Path],
    stage: str,
    output: Path,
    settings: dict[str, Any] = SETTINGS,
    parent: Path | None = None,
) -> TrainingJob:
    """The training of a stage without fold 1; parent: the folder of the stage before."""
    files = {name: parent / f"{name}.pt" for name in ("weights", "momentum")} if parent else {}
    return TrainingJob(*cohort, 1, stage, Recipe.model_validate(settings), output, **files)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path / "weights.pt", weights_only=True)["state_dict"]


def kill_in_epoch(patch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Interrupt a training as its epoch `number`, from 1, begins; the list grows by one per epoch
    begun, those of a training that goes on afterwards included.
    """
    real, seen = train_module.one_epoch, []

    def killed(*args: Any) -> Any:
        seen.append(1)
        if len(seen) == number:
            raise KeyboardInterrupt
        return real(*args)

    patch.setattr(train_module, "one_epoch", killed)
    return seen
