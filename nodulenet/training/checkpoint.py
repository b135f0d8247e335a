"""The side checkpoint that a killed stage resumes from, and the momentum that stages pass on."""

import copy
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodulenet.files import CorruptArtefact, own_artefact, set_aside, sha256
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import load_tensors, save_tensors

log = logging.getLogger(__name__)

History = list[dict[str, Any]]


def fingerprint(files: list[Path], settings: Mapping[str, Any]) -> str:
    """One hash of everything that decides a training; a checkpoint of another is not resumed."""
    content = [sha256(file) for file in files] + [json.dumps(settings, sort_keys=True)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def momentum_of(net: NoduleNet, optimiser: torch.optim.SGD) -> dict[str, Tensor]:
    """Momentum buffer of every parameter that has one, by the parameter's name.

    Rows in C order: a buffer that a resumed training has loaded lies otherwise in memory than one
    that its steps have made, and the files would differ.
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

    A damaged one is set aside with a warning, and the stage starts anew; one of other data or
    settings is passed over with a note in the log.
    """
    if not path.exists():
        return []
    before = copy.deepcopy((net.state_dict(), momentum_of(net, optimiser)))
    try:
        return _loaded(path, mark, net, optimiser)
    except CorruptArtefact as error:
        net.load_state_dict(before[0])
        optimiser.state.clear()
        set_momentum(net, optimiser, before[1])
        # Of several processes of one training one sets it aside; the others find it gone.
        set_aside(path)
        log.warning("%s; set aside, the stage starts from its beginning", error)
        return []


def _loaded(path: Path, mark: str, net: NoduleNet, optimiser: torch.optim.SGD) -> History:
    content = load_tensors(path)
    if content.get("fingerprint") != mark:
        log.warning("%s: made from other data or settings, not resumed", path)
        return []
    with own_artefact(path):
        history: History = [dict(row) for row in content["history"]]
        net.load_state_dict(content["state_dict"])
        set_momentum(net, optimiser, content["momentum"])
    log.info("%s: resumed after %d epochs", path, len(history))
    return history
