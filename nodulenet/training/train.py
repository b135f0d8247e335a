"""Training of one stage on one fold: from the manifest to weights."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nodulenet.files import InputError
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import Diverged
from nodulenet.model.weights import Provenance, save_tensors, save_weights
from nodulenet.progress import track_logged
from nodulenet.training.checkpoint import (
    History,
    fingerprint,
    momentum_of,
    resume,
    save_checkpoint,
)
from nodulenet.training.dataset import TrainingScan, load_training_scans
from nodulenet.training.distributed import Rank, agree, run_on_ranks
from nodulenet.training.engine import EpochResult
from nodulenet.training.epoch import check_sharing, micro_batch, one_epoch
from nodulenet.training.history import (
    add_events,
    history_row,
    new_events,
    told,
    validation_columns,
    write_history,
)
from nodulenet.training.run import HeldOut, Run, Scorer, Validation
from nodulenet.training.settings import read_optimisation
from nodulenet.training.stages import learning_rate, resolve_stage
from nodulenet.training.start import start
from nodulenet.training.validation import hold_out, validate, write_held_out
from nodulenet.training.warmup import set_rate, warm_up

log = logging.getLogger(__name__)

SECTIONS = ("preprocess", "model", "ncs", "dfps", "sr", "targets", "augment", "train")
WATCHING = ("inference", "froc")
"""Sections that decide how the patients held out are scored."""


def train_stage(
    manifest: Path,
    folds: Path,
    fold: int,
    stage: str,
    settings: Mapping[str, Any],
    parent: Mapping[str, Path],
    output: Path,
    threads: int,
    score: Scorer | None = None,
) -> None:
    """Train a stage on every scan outside `fold`; write its results into the folder `output`.

    settings: the config's sections `SECTIONS`, and where `folds.validation` holds out patients
    `folds`, `inference` and `froc`; parent: the files `weights` and `momentum` of the stage before,
    the first alone where it was not trained here, neither for a first stage; score: who finds the
    CPM of the patients held out. Writes weights.pt, momentum.pt, history.csv, tensorboard/ and,
    where patients are held out, validation.tsv. After a kill the stage goes on from checkpoint.pt
    beside them, which a finished stage removes. In a process of torchrun or srun this is one
    process of several; else `train.gpus` of them are started here, which share the `threads`.
    Raises `InputError`.
    """
    settings = deciding(settings)
    gpus = settings["train"].get("gpus", 1)
    settings["train"] = {k: v for k, v in settings["train"].items() if k != "gpus"}
    device = read_optimisation(settings["train"]).device
    job = (manifest, folds, fold, stage, settings, parent, output, score)
    run_on_ranks(train_on_rank, job, device, gpus, threads)


def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of the config that decide a training, or what is told of it."""
    own = {name: settings[name] for name in SECTIONS}
    folds = settings.get("folds", {})
    if folds.get("validation") is None:
        return own
    watching = {name: settings.get(name, {}) for name in WATCHING}
    return own | watching | {"folds": {key: folds[key] for key in ("validation", "seed")}}


def train_on_rank(
    rank: Rank,
    device: torch.device,
    manifest: Path,
    folds: Path,
    fold: int,
    stage: str,
    settings: Mapping[str, Any],
    parent: Mapping[str, Path],
    output: Path,
    score: Scorer | None,
) -> None:
    """What one process does of `train_stage`; the first one alone writes."""
    resolved = resolve_stage(settings["train"]["stages"], stage)
    optimisation = read_optimisation(settings["train"])
    check_sharing(optimisation, rank)
    outside = load_training_scans(manifest, folds, fold)
    scans, held = hold_out(outside, folds, fold, settings.get("folds", {}))
    if not any(len(scan.centres) for scan in scans):
        raise InputError(f"{manifest}: no nodule to train on outside fold {fold}")
    net, optimiser = start(settings, optimisation, parent, device, rank, resolved.branches)
    mark = fingerprint(
        [Path(manifest), Path(folds), *parent.values()],
        {**settings, "train": asdict(optimisation) | asdict(resolved), "fold": fold},
    )
    output.mkdir(parents=True, exist_ok=True)
    validation = None
    if held:
        series = tuple(scan.series_uid for scan in held)
        validation = Validation(held, HeldOut(manifest, folds, series), score)
    if rank.number == 0:
        write_held_out(held, folds, output / "validation.tsv")
    run = Run(resolved, fold, settings, mark, output, rank, validation)
    history = resume(output / "checkpoint.pt", mark, net, optimiser)
    agree(rank, [mark, len(history)])
    run_epochs(net, optimiser, scans, run, history)
    if rank.number == 0:
        save_stage(net, optimiser, run, history)


def save_stage(net: NoduleNet, optimiser: torch.optim.SGD, run: Run, history: History) -> None:
    """Write the results of a finished stage."""
    stage, settings = run.stage, run.settings
    provenance = Provenance(
        settings["model"],
        tuple(stage.branches),
        settings["preprocess"],
        stage.name,
        run.fold,
        stage.before + stage.epochs,
        settings,
    )
    save_weights(net, provenance, run.output / "weights.pt")
    save_tensors(momentum_of(net, optimiser), run.output / "momentum.pt")
    write_history(history, run.output / "history.csv")
    (run.output / "checkpoint.pt").unlink(missing_ok=True)


def run_epochs(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    scans: list[TrainingScan],
    run: Run,
    history: History,
) -> None:
    """Train the epochs that the history lacks; append to it and keep the checkpoint abreast."""
    stage, settings, rank = run.stage, run.settings, run.rank
    optimisation = read_optimisation(settings["train"])
    micro, first = micro_batch(optimisation, rank), rank.number == 0
    writer = new_events(run.output / "tensorboard", history) if first else None
    epochs: Iterable[int] = range(len(history), stage.epochs)
    if first:
        name, done = f"fold {run.fold} {stage.name}", len(history)
        epochs = track_logged(epochs, name, "epochs", stage.epochs, done)
    warm_up(optimiser, optimisation, done=sum(row["steps"] for row in history))
    for epoch in epochs:
        lr = learning_rate(optimisation.lr, stage, epoch)
        set_rate(optimiser, lr)
        result, found = epoch_of(net, optimiser, scans, run, epoch)
        row = history_row(stage, epoch, lr, result, micro, rank.size)
        history.append(row | validation_columns(found))
        if writer:
            save_checkpoint(run.output / "checkpoint.pt", run.mark, net, optimiser, history)
            add_events(writer, history[-1])
            tell(run, epoch, result, history[-1])
    if writer:
        writer.close()


def epoch_of(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    scans: list[TrainingScan],
    run: Run,
    epoch: int,
) -> tuple[EpochResult, dict[str, float]]:
    """One epoch of a stage, and what it came to on the patients held out.

    Raises `InputError` where the training diverges.
    """
    # Ablations that share a trunk see the same crops: the seed counts epochs, not stages.
    seed = [read_optimisation(run.settings["train"]).seed, run.fold, run.stage.before + epoch]
    found: dict[str, float] = {}
    try:
        result = one_epoch(net, optimiser, scans, run.stage, run.settings, seed, run.rank)
        if run.validation:
            found = validate(net, run, run.validation, epoch)
    except Diverged as error:
        place = f"fold {run.fold}, stage {run.stage.name}, epoch {epoch}"
        raise InputError(f"{place}: {error}: lower train.lr") from error
    return result, found


def tell(run: Run, epoch: int, result: EpochResult, row: Mapping[str, Any]) -> None:
    """Say in the log what an epoch came to, and where DFPS does not learn."""
    place = f"fold {run.fold} {run.stage.name} epoch {epoch}"
    log.info("%s: %s", place, told(row))
    if result.at_chance:
        log.warning(
            "%s: dfps_class stayed near ln 2, so DFPS tells nothing apart; %.0f %% of the units of"
            " its first layer live: try a lower train.lr, or train.warmup",
            place,
            100 * result.live.get("dfps_live_1", 0),
        )
