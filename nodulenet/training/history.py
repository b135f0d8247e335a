"""What is told of every epoch: history.csv and TensorBoard."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from torch.utils.tensorboard import SummaryWriter

from nodulenet.files import replacing
from nodulenet.training.checkpoint import History
from nodulenet.training.engine import TERMS, EpochResult
from nodulenet.training.stages import Stage
from nodulenet.training.units import LAYERS

VALIDATION = tuple(f"val_{name}" for name in ("loss", *TERMS, "cpm"))
"""Loss, its terms and the CPM of the patients held out; empty where none are."""

SPEED = ("samples_per_s", "data_wait_s", "step_s")
"""Crops a second of all processes; seconds of an epoch that the one that waited longest waited for
its crops; seconds a step without that."""


def history_row(
    stage: Stage, epoch: int, lr: float, result: EpochResult, micro: int, processes: int
) -> dict[str, Any]:
    """One row of history.csv, in plain types; micro: crops computed at once."""
    return {
        "stage": stage.name,
        "epoch": stage.before + epoch,
        "lr": lr,
        "loss": result.loss,
        **{name: result.terms.get(name) for name in TERMS},
        **{name: result.live.get(name) for name in LAYERS},
        "steps": result.steps,
        "processes": processes,
        "micro_batch": micro,
        "seconds": round(result.seconds, 3),
        "samples_per_s": round(result.crops / result.seconds, 3),
        "data_wait_s": round(result.wait, 3),
        "step_s": round((result.seconds - result.wait) / max(result.steps, 1), 4),
    }


def validation_columns(found: Mapping[str, float]) -> dict[str, float | None]:
    """The columns `VALIDATION` of a row: what was found of `loss`, its terms and `cpm`."""
    return {name: found.get(name.removeprefix("val_")) for name in VALIDATION}


def told(row: Mapping[str, Any]) -> str:
    """Loss, speed, live units and what became of the patients held out, for the log."""
    parts = [
        "loss {loss:.4f}, {samples_per_s} crops/s, {data_wait_s} s waited for crops,"
        " {step_s} s per step"
    ]
    parts += [f"{name} {{{name}:.0%}}" for name in LAYERS if row[name] is not None]
    parts += [f"{n} {{{n}:.4f}}" for n in ("val_loss", "val_cpm") if row[n] is not None]
    return ", ".join(parts).format_map(row)


def write_history(history: History, path: Path) -> None:
    """Write history.csv."""
    with replacing(path) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)


def new_events(folder: Path, history: History) -> SummaryWriter:
    """A TensorBoard folder made anew that holds what the history holds."""
    shutil.rmtree(folder, ignore_errors=True)
    writer = SummaryWriter(str(folder))
    for row in history:
        add_events(writer, row)
    return writer


def add_events(writer: SummaryWriter, row: Mapping[str, Any]) -> None:
    """Write one epoch to TensorBoard."""
    for name in ("lr", "loss", *TERMS, *LAYERS, *VALIDATION, *SPEED):
        if row[name] is not None:
            writer.add_scalar(name, row[name], row["epoch"])
    writer.flush()
