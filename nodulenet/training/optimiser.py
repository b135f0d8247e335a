"""The network and the optimiser that a stage starts from: weights, momentum, warm-up."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodulenet.files import InputError
from nodulenet.model.compatibility import check_model
from nodulenet.model.device import to_device
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import load_tensors, load_weights
from nodulenet.settings import Branch, ModelSettings
from nodulenet.training.distributed import ALONE, Rank
from nodulenet.training.job import TrainingJob


def start(
    job: TrainingJob, device: torch.device, rank: Rank = ALONE
) -> tuple[NoduleNet, torch.optim.SGD]:
    """A network and its optimiser, new or continued from the previous stage."""
    train, model = job.settings.train, job.settings.model
    torch.manual_seed(train.seed)
    known = None
    if job.weights:
        net, known = load_parent(job.weights, model)
    else:
        net = NoduleNet(**model.plain())
    to_device(net, device)
    if train.sync_batch_norm:
        synchronise(net, device, rank)
    if train.compile:
        net.backbone.compile(dynamic=False)
    optimiser = torch.optim.SGD(
        parameter_groups(net, train.stages[job.stage].branches, known, train.warmup),
        train.lr,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
    )
    if job.momentum:
        set_momentum(net, optimiser, load_tensors(job.momentum))
    return net, optimiser


def load_parent(weights: Path, model: ModelSettings) -> tuple[NoduleNet, tuple[str, ...]]:
    """The network that a stage starts from and the branches that it was trained for.

    Raises `InputError` unless its model is that of the config.
    """
    net, provenance = load_weights(weights)
    check_model(provenance, model, weights)
    return net, provenance.branches


def synchronise(net: NoduleNet, device: torch.device, rank: Rank) -> None:
    """Make batch normalisation compute its statistics over all processes.

    Raises `InputError` on the CPU, where torch does not support it.
    """
    if device.type != "cuda":
        raise InputError("train.sync_batch_norm: needs CUDA, but the device is the CPU")
    if rank.size > 1:
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)


def parameter_groups(
    net: nn.Module, branches: Sequence[Branch], known: Iterable[str] | None, warmup: int
) -> list[dict[str, Any]]:
    """The parameter groups of an optimiser; `new` marks those that warm up.

    known: the branches that the weights were trained for before this stage; the heads of the
    stage's other branches are new. None: there were no weights, so the whole network is new.
    Without a warm-up all parameters are one group.
    """
    named = dict(net.named_parameters())
    if warmup == 0:
        return [{"params": list(named.values()), "new": False}]
    if known is None:
        return [{"params": list(named.values()), "new": True}]
    heads = tuple(f"{branch}." for branch in branches if branch not in set(known))
    fresh = [name for name in named if name.startswith(heads)] if heads else []
    old = [p for name, p in named.items() if name not in fresh]
    groups: list[dict[str, Any]] = [{"params": old, "new": False}]
    return groups + ([{"params": [named[n] for n in fresh], "new": True}] if fresh else [])


def set_rate(optimiser: torch.optim.SGD, rate: float) -> None:
    """Set the learning rate of an epoch."""
    for group in optimiser.param_groups:
        group["lr"] = group["full"] = rate


def warm_up(optimiser: torch.optim.SGD, warmup: int, done: int) -> None:
    """Raise the learning rate of new parameters linearly over the first `warmup` steps of a stage.

    done: steps of the stage made before training was killed and resumed. Step n, counted from 1,
    has the share n / `warmup` of the epoch's rate.
    """
    steps = itertools.count(done + 1)

    def before_step(*_: Any) -> None:
        share = next(steps) / warmup
        for group in optimiser.param_groups:
            if group["new"] and share <= 1:
                group["lr"] = group["full"] * share

    if warmup:
        optimiser.register_step_pre_hook(before_step)


def momentum_of(net: NoduleNet, optimiser: torch.optim.SGD) -> dict[str, Tensor]:
    """Momentum buffer of every parameter that has one, by the parameter's name.

    In C order: a buffer loaded when training resumes may have other strides than one made by its
    steps, and the files would differ.
    """
    state = optimiser.state
    return {
        name: state[p]["momentum_buffer"].clone(memory_format=torch.contiguous_format)
        for name, p in net.named_parameters()
        if state.get(p, {}).get("momentum_buffer") is not None
    }


def set_momentum(
    net: NoduleNet, optimiser: torch.optim.SGD, momentum: Mapping[str, Tensor]
) -> None:
    """Put momentum buffers back; parameters without one start without momentum."""
    for name, p in net.named_parameters():
        if name in momentum:
            buffer = torch.empty_like(p).copy_(momentum[name])
            optimiser.state[p]["momentum_buffer"] = buffer
