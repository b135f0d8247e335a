"""The checkpoint from which a killed stage resumes."""

import copy
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch

from nodulenet.files import CorruptArtefact, own_artefact, set_aside, sha256
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import load_tensors, save_tensors
from nodulenet.training.job import TrainingJob
from nodulenet.training.optimiser import momentum_of, set_momentum

log = logging.getLogger(__name__)

Row = dict[str, Any]
"""One row of history.csv, in plain types."""

History = list[Row]


def fingerprint(job: TrainingJob) -> str:
    """A hash of everything that the training depends on; only a checkpoint with it is resumed."""
    settings = {"settings": job.deciding.plain(), "stage": job.stage, "fold": job.fold}
    content = [sha256(file) for file in job.inputs] + [json.dumps(settings, sort_keys=True)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def save_checkpoint(
    path: Path, digest: str, net: NoduleNet, optimiser: torch.optim.SGD, history: History
) -> None:
    """Write the state after an epoch. digest: the fingerprint of the training."""
    content = {
        "fingerprint": digest,
        "state_dict": net.state_dict(),
        "momentum": momentum_of(net, optimiser),
        "history": history,
    }
    save_tensors(content, path)


def resume(path: Path, digest: str, net: NoduleNet, optimiser: torch.optim.SGD) -> History:
    """Load a side checkpoint into the network; its history, empty where there is none to use.

    A damaged one is set aside with a warning, and the stage starts from its beginning; one of
    other data or settings is ignored with a warning.
    """
    if not path.exists():
        return []
    before = copy.deepcopy((net.state_dict(), momentum_of(net, optimiser)))
    try:
        return _loaded(path, digest, net, optimiser)
    except CorruptArtefact as error:
        net.load_state_dict(before[0])
        optimiser.state.clear()
        set_momentum(net, optimiser, before[1])
        # Of several processes of one training one sets it aside; the others find it gone.
        set_aside(path)
        log.warning("%s; set aside, the stage starts from its beginning", error)
        return []


def _loaded(path: Path, digest: str, net: NoduleNet, optimiser: torch.optim.SGD) -> History:
    content = load_tensors(path)
    if content.get("fingerprint") != digest:
        log.warning("%s: made from other data or settings, not resumed", path)
        return []
    with own_artefact(path):
        history: History = [dict(row) for row in content["history"]]
        net.load_state_dict(content["state_dict"])
        set_momentum(net, optimiser, content["momentum"])
    log.info("%s: resumed after %d epochs", path, len(history))
    return history
