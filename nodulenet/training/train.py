"""Training of one stage on one fold: from the manifest to weights."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from nodulenet.files import InputError, replacing
from nodulenet.model.device import choose_device, to_device
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import Diverged
from nodulenet.model.weights import (
    Provenance,
    load_tensors,
    load_weights,
    save_tensors,
    save_weights,
)
from nodulenet.training.checkpoint import (
    History,
    fingerprint,
    momentum_of,
    resume,
    save_checkpoint,
    set_momentum,
)
from nodulenet.training.dataset import TrainingScan, batches, epoch_samples, load_training_scans
from nodulenet.training.engine import TERMS, EpochResult, train_one_epoch
from nodulenet.training.settings import (
    Optimisation,
    read_augmentation,
    read_objective,
    read_optimisation,
)
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
    from checkpoint.pt beside them, which a finished stage removes. Raises `InputError`.
    """
    torch.set_num_threads(threads)
    settings = {name: settings[name] for name in SECTIONS}
    resolved = resolve_stage(settings["train"]["stages"], stage)
    optimisation = read_optimisation(settings["train"])
    scans = load_training_scans(manifest, folds, fold)
    if not any(len(scan.centres) for scan in scans):
        raise InputError(f"{manifest}: no nodule to train on outside fold {fold}")
    net, optimiser = start(settings, optimisation, parent)
    mark = fingerprint(
        [Path(manifest), Path(folds), *parent.values()], {**settings, "fold": fold, "stage": stage}
    )
    output.mkdir(parents=True, exist_ok=True)
    history = resume(output / "checkpoint.pt", mark, net, optimiser)
    run_epochs(net, optimiser, scans, resolved, settings, fold, mark, history, output)
    provenance = Provenance(
        settings["model"],
        tuple(resolved.branches),
        settings["preprocess"],
        stage,
        fold,
        resolved.before + resolved.epochs,
        settings,
    )
    save_weights(net, provenance, output / "weights.pt")
    save_tensors(momentum_of(net, optimiser), output / "momentum.pt")
    write_history(history, output / "history.csv")
    (output / "checkpoint.pt").unlink(missing_ok=True)


def start(
    settings: Mapping[str, Any], optimisation: Optimisation, parent: Mapping[str, Path]
) -> tuple[NoduleNet, torch.optim.SGD]:
    """A network and its optimiser, new or as the parent stage left them."""
    torch.manual_seed(optimisation.seed)
    model = settings["model"]
    net = load_parent(parent["weights"], model) if parent else NoduleNet(**model)
    device = choose_device(optimisation.device)
    to_device(net, device)
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
    if dict(provenance.model) != dict(model):
        raise InputError(
            f"{weights}: is a network of {dict(provenance.model)}, but the config's section model"
            f" says {dict(model)}"
        )
    return net


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
) -> None:
    """Train the epochs that the history lacks; append to it and keep the checkpoint abreast."""
    optimisation = read_optimisation(settings["train"])
    writer = new_events(output / "tensorboard", history)
    progress = tqdm(
        range(len(history), stage.epochs),
        desc=f"fold {fold} {stage.name}",
        initial=len(history),
        total=stage.epochs,
        unit="epoch",
        disable=None,
    )
    for epoch in progress:
        # Ablations that share a trunk see the same crops: the seed counts epochs, not stages.
        seed = [optimisation.seed, fold, stage.before + epoch]
        lr = learning_rate(optimisation.lr, stage, epoch)
        for group in optimiser.param_groups:
            group["lr"] = lr
        try:
            result = one_epoch(net, optimiser, scans, stage, settings, seed)
        except Diverged as error:
            place = f"fold {fold}, stage {stage.name}, epoch {epoch}"
            raise InputError(f"{place}: {error}: lower train.lr") from error
        history.append(history_row(stage, epoch, lr, result))
        save_checkpoint(output / "checkpoint.pt", mark, net, optimiser, history)
        add_events(writer, history[-1])
        progress.set_postfix(loss=f"{result.loss:.3f}")
        log.info("fold %d %s epoch %d: loss %.4f", fold, stage.name, epoch, result.loss)
    writer.close()


def one_epoch(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    scans: list[TrainingScan],
    stage: Stage,
    settings: Mapping[str, Any],
    seed: list[int],
) -> EpochResult:
    """Draw the epoch's crops and train on them; everything random comes from `seed`."""
    optimisation = read_optimisation(settings["train"])
    augmentation = read_augmentation(settings["augment"])
    rng = np.random.default_rng(seed)
    feed = batches(
        scans,
        epoch_samples(scans, augmentation.random_crops, rng),
        optimisation.batch,
        optimisation.crop,
        augmentation,
        settings["preprocess"]["pad_value"],
        seed,
    )
    device = next(net.parameters()).device
    objective = read_objective(settings, stage)
    return train_one_epoch(net, optimiser, feed, objective, device, optimisation.amp, rng)


def history_row(stage: Stage, epoch: int, lr: float, result: EpochResult) -> dict[str, Any]:
    """One row of history.csv, in plain types."""
    return {
        "stage": stage.name,
        "epoch": stage.before + epoch,
        "lr": lr,
        "loss": result.loss,
        **{name: result.terms.get(name) for name in TERMS},
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "samples_per_s": round(result.crops / result.seconds, 3),
    }


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
    for name in ("lr", "loss", *TERMS, "samples_per_s"):
        if row[name] is not None:
            writer.add_scalar(name, row[name], row["epoch"])
    writer.flush()
