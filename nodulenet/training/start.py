"""The network and the optimiser that a stage starts from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nodulenet.files import InputError
from nodulenet.model.device import to_device
from nodulenet.model.given import check_model
from nodulenet.model.network import NoduleNet
from nodulenet.model.settings import Branch
from nodulenet.model.weights import load_tensors, load_weights
from nodulenet.training.checkpoint import set_momentum
from nodulenet.training.distributed import Rank
from nodulenet.training.engine import ALONE
from nodulenet.training.settings import Optimisation
from nodulenet.training.warmup import parameter_groups


def start(
    settings: Mapping[str, Any],
    optimisation: Optimisation,
    parent: Mapping[str, Path],
    device: torch.device,
    rank: Rank = ALONE,
    branches: Sequence[Branch] = (),
) -> tuple[NoduleNet, torch.optim.SGD]:
    """A network and its optimiser, new or as the parent stage left them.

    branches: those of the stage; which of them are new decides what is warmed up.
    """
    torch.manual_seed(optimisation.seed)
    known = None
    if parent:
        net, known = load_parent(parent["weights"], settings["model"])
    else:
        net = NoduleNet(**settings["model"])
    to_device(net, device)
    if optimisation.sync_batch_norm:
        synchronise(net, device, rank)
    optimiser = torch.optim.SGD(
        parameter_groups(net, branches, known, optimisation.warmup),
        optimisation.lr,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
    )
    if "momentum" in parent:
        set_momentum(net, optimiser, load_tensors(parent["momentum"]))
    return net, optimiser


def load_parent(weights: Path, model: Mapping[str, Any]) -> tuple[NoduleNet, tuple[str, ...]]:
    """The network of the stage before and the branches that it was trained for.

    Raises `InputError` unless it is of the config's model.
    """
    net, provenance = load_weights(weights)
    check_model(provenance, model, weights)
    return net, provenance.branches


def synchronise(net: NoduleNet, device: torch.device, rank: Rank) -> None:
    """Make batch normalisation take its statistics over all processes.

    Raises `InputError` on the CPU, for which torch has none.
    """
    if device.type != "cuda":
        raise InputError("train.sync_batch_norm: exists on CUDA only, but the device is the CPU")
    if rank.size > 1:
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)
