"""Training of one stage with one fold held out: from the manifest to weights."""

import logging
from collections.abc import Iterable

import torch

from nodulenet.files import InputError
from nodulenet.model.device import tune
from nodulenet.model.objective import Diverged, Objective
from nodulenet.model.weights import Provenance, save_tensors, save_weights
from nodulenet.progress import track_logged
from nodulenet.training.checkpoint import History, fingerprint, resume, save_checkpoint
from nodulenet.training.dataset import load_training_scans
from nodulenet.training.distributed import Rank, agree, run_on_ranks
from nodulenet.training.engine import EpochResult, Learner, train_one_epoch
from nodulenet.training.feed import check_sharing, epoch_feed
from nodulenet.training.history import (
    add_events,
    history_row,
    log_epoch,
    new_events,
    write_history,
)
from nodulenet.training.job import HeldOut, Run, Scorer, TrainingJob, Validation
from nodulenet.training.optimiser import momentum_of, set_rate, start, warm_up
from nodulenet.training.stages import learning_rate, resolve_stage
from nodulenet.training.validation import hold_out, validate, write_held_out

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"


def train_stage(job: TrainingJob, threads: int, score: Scorer | None = None) -> None:
    """Train a stage on every scan outside the job's fold; write its results into `job.output`.

    score: computes the CPM of the patients that `folds.validation` holds out. Writes weights.pt,
    momentum.pt, history.csv, tensorboard/ and, where patients are held out, validation.tsv. After
    a kill the stage resumes from checkpoint.pt beside them, which a finished stage removes. In a
    process of torchrun or srun this is one process of several; else `train.gpus` of them are
    started here, which share the `threads`. Raises `InputError`.
    """
    train = job.settings.train
    run_on_ranks(train_on_rank, (job, score), train.device, train.gpus, threads)


def train_on_rank(rank: Rank, device: torch.device, job: TrainingJob, score: Scorer | None) -> None:
    """One process's share of `train_stage`; only the first process writes the results."""
    check_sharing(job.settings.train, rank)
    run = prepare_run(job, rank, score)
    tune(device, fixed_shapes="sr" not in run.stage.branches)  # SR crops come in many sizes
    net, optimiser = start(job, device, rank)
    learner = Learner(net, optimiser, Objective(run.stage.branches, job.settings), rank)
    digest = fingerprint(job)
    history = resume(job.output / CHECKPOINT, digest, net, optimiser)
    agree(rank, [digest, len(history)])
    run_epochs(run, learner, digest, history)
    if rank.number == 0:
        save_stage(run, learner, history)


def prepare_run(job: TrainingJob, rank: Rank, score: Scorer | None) -> Run:
    """Find the training and validation scans of a job, and write validation.tsv."""
    outside = load_training_scans(job.manifest, job.folds, job.fold, job.hard_negatives)
    scans, held = hold_out(outside, job.folds, job.fold, job.settings.folds)
    if not any(len(scan.centres) for scan in scans):
        raise InputError(f"{job.manifest}: no nodule to train on outside fold {job.fold}")
    stage = resolve_stage(job.settings.train, job.stage)
    if "sr" in stage.branches and not any(scan.outlined for scan in scans if len(scan.centres)):
        raise InputError(f"{job.manifest}: sr learns from outlines or masks, and no scan has any")
    job.output.mkdir(parents=True, exist_ok=True)
    if rank.number == 0:
        write_held_out(held, job.folds, job.output / "validation.tsv")
    series = tuple(scan.series_uid for scan in held)
    validation = Validation(held, HeldOut(job.manifest, job.folds, series), score) if held else None
    return Run(job, stage, rank, scans, validation)


def run_epochs(run: Run, learner: Learner, digest: str, history: History) -> None:
    """Train the epochs that the history lacks; each is appended to it and checkpointed."""
    job, stage, optimiser = run.job, run.stage, learner.optimiser
    writer = new_events(job.output / "tensorboard", history) if run.rank.number == 0 else None
    epochs: Iterable[int] = range(len(history), stage.epochs)
    if writer:
        epochs = track_logged(epochs, job.name, "epochs", stage.epochs, done=len(history))
    warm_up(optimiser, job.settings.train.warmup, done=sum(row["steps"] for row in history))
    for epoch in epochs:
        set_rate(optimiser, learning_rate(job.settings.train.lr, stage, epoch))
        result, held_out_scores = one_epoch(run, learner, epoch)
        history.append(history_row(run, epoch, result, held_out_scores))
        if writer:
            save_checkpoint(job.output / CHECKPOINT, digest, learner.net, optimiser, history)
            add_events(writer, history[-1])
            log_epoch(run, epoch, result, history[-1])
    if writer:
        writer.close()


def one_epoch(run: Run, learner: Learner, epoch: int) -> tuple[EpochResult, dict[str, float]]:
    """One epoch of a stage, and the losses and scores of the patients held out after it.

    Raises `InputError` where the training diverges.
    """
    job = run.job
    seed = job.seed(run.stage.before + epoch)
    try:
        feed = epoch_feed(run.scans, job.settings, seed, run.rank, learner.device)
        return train_one_epoch(learner, feed), validate(learner.net, run, epoch)
    except Diverged as error:
        place = f"fold {job.fold}, stage {job.stage}, epoch {epoch}"
        raise InputError(f"{place}: {error}: lower train.lr") from error


def save_stage(run: Run, learner: Learner, history: History) -> None:
    """Write the results of a finished stage."""
    job, stage = run.job, run.stage
    epochs = stage.before + stage.epochs
    provenance = Provenance(job.deciding, tuple(stage.branches), stage.name, job.fold, epochs)
    save_weights(learner.net, provenance, job.output / "weights.pt")
    save_tensors(momentum_of(learner.net, learner.optimiser), job.output / "momentum.pt")
    write_history(history, job.output / "history.csv")
    (job.output / CHECKPOINT).unlink(missing_ok=True)
