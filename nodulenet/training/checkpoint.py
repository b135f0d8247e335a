"""The side checkpoint that a killed stage resumes from, and the momentum that stages pass on."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodulenet.files import InputError, sha256
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import load_tensors, save_tensors

log = logging.getLogger(__name__)

History = list[dict[str, Any]]


def fingerprint(files: list[Path], settings: Mapping[str, Any]) -> str:
    """One hash of everything that decides a training; a checkpoint of another is not resumed."""
    content = [sha256(file) for file in files] + [json.dumps(settings, sort_keys=True)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def momentum_of(net: NoduleNet, optimiser: torch.optim.SGD) -> dict[str, Tensor]:
    """Momentum buffer of every parameter that has one, by the parameter's name."""
    state = optimiser.state
    return {
        name: state[p]["momentum_buffer"]
        for name, p in net.named_parameters()
        if state.get(p, {}).get("momentum_buffer") is not None
    }


def set_momentum(
    net: NoduleNet, optimiser: torch.optim.SGD, momentum: Mapping[str, Tensor]
) -> None:
    """Put momentum buffers back; parameters without one start anew."""
    for name, p in net.named_parameters():
        if name in momentum:
            buffer = torch.empty_like(p).copy_(momentum[name])
            optimiser.state[p]["momentum_buffer"] = buffer


def save_checkpoint(
    path: Path, mark: str, net: NoduleNet, optimiser: torch.optim.SGD, history: History
) -> None:
    """Write the state after an epoch."""
    content = {
        "fingerprint": mark,
        "state_dict": net.state_dict(),
        "momentum": momentum_of(net, optimiser),
        "history": history,
    }
    save_tensors(content, path)


def resume(path: Path, mark: str, net: NoduleNet, optimiser: torch.optim.SGD) -> History:
    """Load a side checkpoint into the network; its history, empty where there is none to use.

    Raises `InputError` where the file is damaged; one of other data or settings is passed over
    with a note in the log.
    """
    if not path.exists():
        return []
    try:
        content = load_tensors(path)
    except InputError as error:
        raise InputError(f"{error}; delete it to start the stage anew") from error
    if content.get("fingerprint") != mark:
        log.warning("%s: made from other data or settings, not resumed", path)
        return []
    try:
        net.load_state_dict(content["state_dict"])
        set_momentum(net, optimiser, content["momentum"])
        history: History = content["history"]
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged checkpoint ({reason}); delete it to start the stage anew"
        ) from error
    log.info("%s: resumed after %d epochs", path, len(history))
    return history
