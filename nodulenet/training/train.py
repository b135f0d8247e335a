"""Training of one stage on one fold: from the manifest to weights."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nodulenet.files import InputError
from nodulenet.model.device import to_device
from nodulenet.model.given import check_model
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import Diverged
from nodulenet.model.weights import (
    Provenance,
    load_tensors,
    load_weights,
    save_tensors,
    save_weights,
)
from nodulenet.progress import track
from nodulenet.training.checkpoint import (
    History,
    fingerprint,
    momentum_of,
    resume,
    save_checkpoint,
    set_momentum,
)
from nodulenet.training.dataset import TrainingScan, load_training_scans
from nodulenet.training.distributed import Rank, agree, run_on_ranks
from nodulenet.training.engine import ALONE
from nodulenet.training.epoch import check_sharing, micro_batch, one_epoch
from nodulenet.training.history import (
    add_events,
    history_row,
    new_events,
    told,
    write_history,
)
from nodulenet.training.settings import Optimisation, read_optimisation
from nodulenet.training.stages import Stage, learning_rate, resolve_stage

log = logging.getLogger(__name__)

SECTIONS = ("preprocess", "model", "ncs", "dfps", "sr", "targets", "augment", "train")


def train_stage(
    manifest: Path,
    folds: Path,
    fold: int,
    stage: str,
    settings: Mapping[str, Any],
    parent: Mapping[str, Path],
    output: Path,
    threads: int,
) -> None:
    """Train a stage on every scan outside `fold`; write its results into the folder `output`.

    settings: the config's sections `SECTIONS`; parent: the files `weights` and `momentum` of the
    stage before, the first alone where it was not trained here, neither for a first stage.
    Writes weights.pt, momentum.pt, history.csv and tensorboard/. After a kill the stage goes on
    from checkpoint.pt beside them, which a finished stage removes. In a process of torchrun or
    srun this is one process of several; else `train.gpus` of them are started here, which share
    the `threads`. Raises `InputError`.
    """
    settings = {name: settings[name] for name in SECTIONS}
    gpus = settings["train"].get("gpus", 1)
    settings["train"] = {k: v for k, v in settings["train"].items() if k != "gpus"}
    device = read_optimisation(settings["train"]).device
    job = (manifest, folds, fold, stage, settings, parent, output)
    run_on_ranks(train_on_rank, job, device, gpus, threads)


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
) -> None:
    """What one process does of `train_stage`; the first one alone writes."""
    resolved = resolve_stage(settings["train"]["stages"], stage)
    optimisation = read_optimisation(settings["train"])
    check_sharing(optimisation, rank)
    scans = load_training_scans(manifest, folds, fold)
    if not any(len(scan.centres) for scan in scans):
        raise InputError(f"{manifest}: no nodule to train on outside fold {fold}")
    net, optimiser = start(settings, optimisation, parent, device, rank)
    mark = fingerprint(
        [Path(manifest), Path(folds), *parent.values()],
        {**settings, "train": asdict(optimisation) | asdict(resolved), "fold": fold},
    )
    output.mkdir(parents=True, exist_ok=True)
    history = resume(output / "checkpoint.pt", mark, net, optimiser)
    agree(rank, [mark, len(history)])
    run_epochs(net, optimiser, scans, resolved, settings, fold, mark, history, output, rank)
    if rank.number == 0:
        save_stage(net, optimiser, resolved, settings, fold, history, output)


def save_stage(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    stage: Stage,
    settings: Mapping[str, Any],
    fold: int,
    history: History,
    output: Path,
) -> None:
    """Write the results of a finished stage."""
    provenance = Provenance(
        settings["model"],
        tuple(stage.branches),
        settings["preprocess"],
        stage.name,
        fold,
        stage.before + stage.epochs,
        settings,
    )
    save_weights(net, provenance, output / "weights.pt")
    save_tensors(momentum_of(net, optimiser), output / "momentum.pt")
    write_history(history, output / "history.csv")
    (output / "checkpoint.pt").unlink(missing_ok=True)


def start(
    settings: Mapping[str, Any],
    optimisation: Optimisation,
    parent: Mapping[str, Path],
    device: torch.device,
    rank: Rank = ALONE,
) -> tuple[NoduleNet, torch.optim.SGD]:
    """A network and its optimiser, new or as the parent stage left them."""
    torch.manual_seed(optimisation.seed)
    model = settings["model"]
    net = load_parent(parent["weights"], model) if parent else NoduleNet(**model)
    to_device(net, device)
    if optimisation.sync_batch_norm:
        synchronise(net, device, rank)
    optimiser = torch.optim.SGD(
        net.parameters(),
        optimisation.lr,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
    )
    if "momentum" in parent:
        set_momentum(net, optimiser, load_tensors(parent["momentum"]))
    return net, optimiser


def load_parent(weights: Path, model: Mapping[str, Any]) -> NoduleNet:
    """The network of the stage before. Raises `InputError` unless it is of the config's model."""
    net, provenance = load_weights(weights)
    check_model(provenance, model, weights)
    return net


def synchronise(net: NoduleNet, device: torch.device, rank: Rank) -> None:
    """Make batch normalisation take its statistics over all processes.

    Raises `InputError` on the CPU, for which torch has none.
    """
    if device.type != "cuda":
        raise InputError("train.sync_batch_norm: exists on CUDA only, but the device is the CPU")
    if rank.size > 1:
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)


def run_epochs(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    scans: list[TrainingScan],
    stage: Stage,
    settings: Mapping[str, Any],
    fold: int,
    mark: str,
    history: History,
    output: Path,
    rank: Rank,
) -> None:
    """Train the epochs that the history lacks; append to it and keep the checkpoint abreast."""
    optimisation = read_optimisation(settings["train"])
    micro, first = micro_batch(optimisation, rank), rank.number == 0
    writer = new_events(output / "tensorboard", history) if first else None
    epochs: Iterable[int] = range(len(history), stage.epochs)
    if first:
        name, done = f"fold {fold} {stage.name}", len(history)
        epochs = track(epochs, name, "epochs", stage.epochs, done=done, every=None)
    for epoch in epochs:
        # Ablations that share a trunk see the same crops: the seed counts epochs, not stages.
        seed = [optimisation.seed, fold, stage.before + epoch]
        lr = learning_rate(optimisation.lr, stage, epoch)
        for group in optimiser.param_groups:
            group["lr"] = lr
        try:
            result = one_epoch(net, optimiser, scans, stage, settings, seed, rank)
        except Diverged as error:
            place = f"fold {fold}, stage {stage.name}, epoch {epoch}"
            raise InputError(f"{place}: {error}: lower train.lr") from error
        history.append(history_row(stage, epoch, lr, result, micro, rank.size))
        if writer:
            save_checkpoint(output / "checkpoint.pt", mark, net, optimiser, history)
            add_events(writer, history[-1])
            log.info("fold %d %s epoch %d: %s", fold, stage.name, epoch, told(history[-1]))
    if writer:
        writer.close()
