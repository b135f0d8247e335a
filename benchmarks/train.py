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
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.scene import draw_volume
from benchmarks.timing import print_machine, print_table, time_in_turn
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.model import NoduleNet
from nodulenet.model.device import mixed_precision, to_device
from nodulenet.model.objective import Objective, loss_terms
from nodulenet.model.targets import anchor_targets, sample_boxes, truth_boxes
from nodulenet.settings import DfpsSettings, NcsSettings

STAGES = {"ncs": ["ncs"], "dfps": ["ncs", "dfps"], "full": ["ncs", "dfps", "sr"]}

LR = 1e-3

Step = Callable[[], float]


def make_step(
    net: NoduleNet,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    branches: list[str],
    amp: bool,
    lr: float,
) -> Step:
    """A function that trains the network on the batch once and returns the loss."""
    device = next(net.parameters()).device
    optimiser = torch.optim.SGD(net.parameters(), lr, momentum=0.9)
    objective = Objective(branches)
    batch = torch.from_numpy(images)[:, None].to(device)

    def step() -> float:
        rngs = [np.random.default_rng(k) for k in range(len(images))]
        with mixed_precision(device, amp):
            terms = loss_terms(net, batch, labels, objective, rngs)
            loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def in_two_ways(
    start: NoduleNet,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    branches: list[str],
    lr: float,
) -> dict[str, Step]:
    """The steps of two copies of a network: as in this project, and in plain float32."""
    ours, plain = copy.deepcopy(start), copy.deepcopy(start)
    to_device(ours, next(start.parameters()).device)
    return {
        "ours": make_step(ours, images, labels, branches, True, lr),
        "plain float32": make_step(plain, images, labels, branches, False, lr),
    }


def target_seconds(labels: NDArray[np.uint8]) -> float:
    """Seconds to make the NCS targets of the batch and to sample its DFPS boxes."""
    anchors = anchor_grid(tuple(n // STRIDE for n in labels.shape[1:]))
    rng = np.random.default_rng(0)
    proposals = anchors[rng.integers(len(anchors), size=300)]
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        for crop in labels:
            truth = truth_boxes(crop)
            anchor_targets(anchors, truth, NcsSettings(), rng)
            sample_boxes(proposals, truth, DfpsSettings(), rng)
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
    crops = [draw_volume((options.crop,) * 3, 3, seed) for seed in range(options.batch)]
    images, labels = (np.stack(arrays) for arrays in zip(*crops, strict=True))
    torch.manual_seed(0)
    net = NoduleNet(options.width).to(options.device)
    to_device(net, torch.device(options.device))
    warm_up = make_step(net, images, labels, STAGES["full"], True, LR)
    for _ in range(options.warm):
        warm_up()
    net.to(memory_format=torch.contiguous_format)
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    rows, counts = [], {}
    for name, branches in STAGES.items():
        steps = in_two_ways(net, images, labels, branches, 0.0)
        rows.append(time_in_turn(f"step of stage {name}", steps, options.repeats, wait))
        counts[name] = operations(steps["ours"])
    print_table(rows)
    shown = ", ".join(f"{name} {count / 1e9:.0f}" for name, count in counts.items())
    print(f"\nGFLOP of a step: {shown}")
    seconds = rows[-1].seconds["ours"]
    print(f"stage full: {counts['full'] / seconds / 1e9:.0f} GFLOP/s;", end=" ")
    print(f"a product of bfloat16 matrices: {product_rate(options.device) / 1e9:.0f} GFLOP/s")
    share = target_seconds(labels) / seconds
    print(f"targets and sampling: {share:.1%} of the step of stage full")
    if options.steps:
        print_losses(in_two_ways(net, images, labels, STAGES["full"], LR), options.steps)


def print_losses(ways: dict[str, Step], steps: int) -> None:
    """Train both ways and print every tenth loss and the difference between the two."""
    losses = {name: np.array([step() for _ in range(steps)]) for name, step in ways.items()}
    for name, values in losses.items():
        shown = " ".join(f"{value:.3f}" for value in values[9::10])
        print(f"{name}: every tenth loss of {steps}: {shown}; mean {values.mean():.4f}")


if __name__ == "__main__":
    main()
