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
        "steps": result.steps,
        "processes": processes,
        "micro_batch": micro,
        "seconds": round(result.seconds, 3),
        "samples_per_s": round(result.crops / result.seconds, 3),
        "data_wait_s": round(result.wait, 3),
        "step_s": round((result.seconds - result.wait) / max(result.steps, 1), 4),
    }


def told(row: Mapping[str, Any]) -> str:
    """Loss and speed of an epoch, for the log."""
    return (
        "loss {loss:.4f}, {samples_per_s} crops/s, {data_wait_s} s waited for crops,"
        " {step_s} s a step"
    ).format_map(row)


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
    for name in ("lr", "loss", *TERMS, *SPEED):
        if row[name] is not None:
            writer.add_scalar(name, row[name], row["epoch"])
    writer.flush()
