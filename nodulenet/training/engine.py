"""The training loop of one epoch."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nodulenet.model.device import mixed_precision
from nodulenet.model.network import NoduleNet
from nodulenet.model.objective import Diverged, Objective, loss_terms

TERMS = ("ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr")

Batch = tuple[NDArray[np.uint8], NDArray[np.integer]]


@dataclass(frozen=True)
class EpochResult:
    """Mean loss and loss terms over the steps, their number, crops and seconds."""

    loss: float
    terms: dict[str, float]
    steps: int
    crops: int
    seconds: float


def train_one_epoch(
    net: NoduleNet,
    optimiser: torch.optim.SGD,
    batches: Iterable[Batch],
    objective: Objective,
    device: torch.device,
    amp: bool,
    rng: np.random.Generator,
) -> EpochResult:
    """One pass over the batches of images and labels. Raises `Diverged`."""
    net.train()
    begin, crops, steps = time.perf_counter(), 0, 0
    sums = torch.zeros(len(TERMS))
    for images, labels in batches:
        image = torch.from_numpy(images)[:, None].to(device)
        with mixed_precision(device, amp):
            terms = loss_terms(net, image, labels, objective, rng)
            loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        steps, crops = steps + 1, crops + len(images)
        sums += torch.tensor([float(terms[n].detach()) if n in terms else 0.0 for n in TERMS])
        if not math.isfinite(float(sums.sum())):
            raise Diverged(f"the loss is {loss.item()} after {steps} steps")
    means = {n: float(v) for n, v in zip(TERMS, sums / max(steps, 1), strict=True)}
    used = {name: value for name, value in means.items() if name in terms}
    return EpochResult(sum(used.values()), used, steps, crops, time.perf_counter() - begin)
