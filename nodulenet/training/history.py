"""The record of every epoch: history.csv, TensorBoard and the log."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from torch.utils.tensorboard import SummaryWriter

from nodulenet.files import replacing
from nodulenet.model.objective import TERMS
from nodulenet.training.checkpoint import History, Row
from nodulenet.training.engine import EpochResult
from nodulenet.training.feed import micro_batch
from nodulenet.training.job import Run
from nodulenet.training.live_units import LAYERS
from nodulenet.training.stages import learning_rate

log = logging.getLogger(__name__)

VALIDATION = tuple(f"val_{name}" for name in ("loss", *TERMS, "cpm"))
"""Loss, its terms and the CPM of held-out patients; empty if none are held out."""

SPEED = ("samples_per_s", "data_wait_s", "step_s")
"""Crops per second of all processes; seconds that the process that waited longest for its crops
waited in the epoch; seconds per step without the wait."""


def history_row(
    run: Run, epoch: int, result: EpochResult, held_out_scores: Mapping[str, float]
) -> Row:
    """The row of an epoch of the stage. held_out_scores: what `validate` gives."""
    stage, train = run.stage, run.job.settings.train
    return {
        "stage": stage.name,
        "epoch": stage.before + epoch,
        "lr": learning_rate(train.lr, stage, epoch),
        "loss": result.loss,
        **{name: result.terms.get(name) for name in TERMS},
        **{name: result.live.get(name) for name in LAYERS},
        "steps": result.steps,
        "processes": run.rank.size,
        "micro_batch": micro_batch(train, run.rank),
        "seconds": round(result.seconds, 3),
        "samples_per_s": round(result.crops / result.seconds, 3),
        "data_wait_s": round(result.wait, 3),
        "step_s": round((result.seconds - result.wait) / max(result.steps, 1), 4),
        **{name: held_out_scores.get(name.removeprefix("val_")) for name in VALIDATION},
    }


def log_epoch(run: Run, epoch: int, result: EpochResult, row: Row) -> None:
    """Log an epoch, with a warning where DFPS does not learn."""
    name = f"{run.job.name} epoch {epoch}"
    log.info("%s: %s", name, summary(row))
    if result.at_chance:
        log.warning(
            "%s: dfps_class stayed near ln 2, so DFPS cannot tell nodules from other boxes; %.0f %%"
            " of the units of its first layer live: try a lower train.lr, or train.warmup",
            name,
            100 * result.live.get("dfps_live_1", 0),
        )


def summary(row: Row) -> str:
    """Loss, speed, live units and the scores of the patients held out, for the log."""
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
    """A new TensorBoard folder with the epochs of the history."""
    shutil.rmtree(folder, ignore_errors=True)
    writer = SummaryWriter(str(folder))
    for row in history:
        add_events(writer, row)
    return writer


def add_events(writer: SummaryWriter, row: Row) -> None:
    """Write one epoch to TensorBoard."""
    for name in ("lr", "loss", *TERMS, *LAYERS, *VALIDATION, *SPEED):
        if row[name] is not None:
            writer.add_scalar(name, row[name], row["epoch"])
    writer.flush()
