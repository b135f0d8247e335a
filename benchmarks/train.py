"""A training step, compared with the same step in plain float32 with channels first.

python -m benchmarks.train [--width 1 --crop 128 --batch 1 --threads 2 --device cpu]

The network is first trained for `--warm` steps, so that its proposals are typical of training; then
both use the same weights, which the timed steps do not change. With `--steps N` both train N steps
from there on the same crops and their losses are printed, to see whether bfloat16 affects training.
"""

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.scene import draw_crops
from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.model import NoduleNet
from nodulenet.model.device import to_device
from nodulenet.model.objective import Crops, Objective
from nodulenet.model.targets import anchor_targets, sample_boxes
from nodulenet.settings import DfpsSettings, NcsSettings, Recipe, TrainSettings
from nodulenet.training.engine import Learner, train_step
from nodulenet.training.feed import Part

STAGES = {"ncs": ["ncs"], "dfps": ["ncs", "dfps"], "full": ["ncs", "dfps", "sr"]}

LR = 1e-3

Step = Callable[[], float]


def make_step(
    net: NoduleNet,
    crops: Crops,
    branches: list[str],
    amp: bool,
    lr: float,
) -> Step:
    """A function that trains the network on the batch once and returns the loss."""
    optimiser = torch.optim.SGD(net.parameters(), lr, momentum=0.9)
    objective = Objective(branches, Recipe(train=TrainSettings(amp=amp)))
    learner, part = Learner(net, optimiser, objective), Part(crops, 1.0)
    return lambda: train_step(learner, [part]).sum().item()


def in_two_ways(start: NoduleNet, crops: Crops, branches: list[str], lr: float) -> dict[str, Step]:
    """The steps of two copies of a network: as in this project, and in plain float32."""
    ours, plain = copy.deepcopy(start), copy.deepcopy(start)
    to_device(ours, next(start.parameters()).device)
    return {
        "ours": make_step(ours, crops, branches, True, lr),
        "plain float32": make_step(plain, crops, branches, False, lr),
    }


def target_seconds(crops: Crops) -> float:
    """Seconds to make the NCS targets of the batch and to sample its DFPS boxes."""
    anchors = anchor_grid(tuple(n // STRIDE for n in crops.masks.shape[1:]), crops.truth.device)
    some = torch.randint(len(anchors), (len(crops.images), 300), device=anchors.device)
    valid = torch.ones_like(some, dtype=torch.bool)
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        anchor_targets(anchors, crops.truth, NcsSettings(), crops.seeds)
        sample = sample_boxes(anchors[some], valid, crops.truth, DfpsSettings(), crops.seeds)
        sample.valid.sum().item()
        times.append(time.perf_counter() - begin)
    return min(times)


def operations(work: Callable[[], Any]) -> int:
    """Floating-point operations of the convolutions and products of a piece of work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def product_rate(device: str, side: int = 2048) -> float:
    """Operations per second of a product of two bfloat16 matrices, best of five."""
    a, b = (torch.ones(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        (a @ b)[0, 0].item()
        times.append(time.perf_counter() - begin)
    return 2 * side**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--crop", type=int, default=128, help="side of the crop, voxels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm", type=int, default=30, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print_machine(["torch", "numpy", "numba"])
    crops = draw_crops(options.batch, options.crop, 3, options.device)
    torch.manual_seed(0)
    net = NoduleNet(options.width).to(options.device)
    to_device(net, torch.device(options.device))
    warm_up = make_step(net, crops, STAGES["full"], True, LR)
    for _ in range(options.warm):
        warm_up()
    net.to(memory_format=torch.contiguous_format)
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    rows, counts = [], {}
    for name, branches in STAGES.items():
        steps = in_two_ways(net, crops, branches, 0.0)
        rows.append(time_in_turn(f"step of stage {name}", steps, options.repeats, wait))
        counts[name] = operations(steps["ours"])
    print_table(rows)
    shown = ", ".join(f"{name} {count / 1e9:.0f}" for name, count in counts.items())
    print(f"\nGFLOP of a step: {shown}")
    seconds = rows[-1].seconds["ours"]
    print(f"stage full: {counts['full'] / seconds / 1e9:.0f} GFLOP/s;", end=" ")
    print(f"a product of bfloat16 matrices: {product_rate(options.device) / 1e9:.0f} GFLOP/s")
    share = target_seconds(crops) / seconds
    print(f"targets and sampling: {share:.1%} of the step of stage full")
    if options.steps:
        print_losses(in_two_ways(net, crops, STAGES["full"], LR), options.steps)


def print_losses(ways: dict[str, Step], steps: int) -> None:
    """Train both ways and print every tenth loss and the difference between the two."""
    losses = {name: np.array([step() for _ in range(steps)]) for name, step in ways.items()}
    for name, values in losses.items():
        shown = " ".join(f"{value:.3f}" for value in values[9::10])
        print(f"{name}: every tenth loss of {steps}: {shown}; mean {values.mean():.4f}")


if __name__ == "__main__":
    main()
