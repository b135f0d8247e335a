"""Live units of the DFPS head in its first steps, by learning rate and warm-up.

python -m benchmarks.live_units [--crops 8 --boxes 128 --steps 40 --seeds 5]

The head of the published network learns on features of its untrained backbone, which do not change:
boxes of synthetic crops, pooled once. A unit of the first hidden layer is live if it is positive
for any box of a step, and active for a box where it is positive for that one. Printed over the
seeds are the smallest and largest share of active and of live units before the first step, after
`--steps` steps and after `--steps` more once the warm-up is over, and the largest loss and the mean
loss of the last ten steps; for the class loss alone, and with the box loss.

The features are projected onto the space that they span, which has as many dimensions as there are
boxes instead of 21,952: gradient descent takes the same steps there.
"""

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.scene import draw_crops
from benchmarks.timing import print_machine
from nodulenet.boxes import encode
from nodulenet.boxes.anchors import STRIDE, anchor_grid
from nodulenet.model import NoduleNet
from nodulenet.model.losses import dfps_class_loss, regression_loss
from nodulenet.model.network import normalise
from nodulenet.model.roi_pool import roi_pool
from nodulenet.model.targets import sample_boxes
from nodulenet.settings import DfpsSettings, TrainSettings
from nodulenet.training.live_units import live_share
from nodulenet.training.optimiser import parameter_groups, set_rate, warm_up

WAYS = (
    (0.01, 0),
    (0.006, 0),
    (0.001, 0),
    (0.01, 20),
    (0.01, 50),
    (0.01, 100),
    (0.01, 200),
)
"""Learning rate and warm-up, in steps."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Pooled features (N, N) along the axes (features, N) of the space that they span; whether
    each box is a nodule; its coded truth (N, 6)."""

    pooled: Tensor
    axes: Tensor
    nodule: Tensor
    coded: Tensor


def pool_boxes(net: NoduleNet, crops: int, side: int) -> Boxes:
    """Boxes as sampled by DFPS, near the nodules and elsewhere, in crops of `side` voxels."""
    generator = torch.manual_seed(0)
    anchors = anchor_grid((side // STRIDE,) * 3, torch.device("cpu"))
    pooled, nodule, coded = [], [], []
    for number in range(crops):
        batch = draw_crops(1, side, 3, "cpu", number)
        near = batch.truth.repeat(1, 20, 1)
        near[..., :3] += 2 * torch.randn(near[..., :3].shape, generator=generator)
        near[..., 3:] *= 0.8 + 0.45 * torch.rand(near[..., 3:].shape, generator=generator)
        far = anchors[torch.randint(len(anchors), (300,), generator=generator)]
        proposals = torch.cat([near, far[None]], 1)
        valid = torch.ones(proposals.shape[:2], dtype=torch.bool)
        found = sample_boxes(proposals, valid, batch.truth, DfpsSettings(), batch.seeds)
        boxes, truths = found.boxes[found.valid], found.truths[found.valid]
        with torch.no_grad():
            enc2 = net.backbone(normalise(batch.images)).enc2
            pooled.append(roi_pool(enc2, torch.zeros(len(boxes), dtype=torch.int64), boxes))
        hits = truths >= 0
        own = torch.zeros(boxes.shape)
        own[hits] = encode(batch.truth[0, truths[hits]], boxes[hits])
        nodule.append(hits)
        coded.append(own)
    axes, coordinates = torch.linalg.qr(torch.cat(pooled).flatten(1).T)
    return Boxes(coordinates.T.contiguous(), axes, torch.cat(nodule), torch.cat(coded))


def new_head(boxes: Boxes, seed: int) -> NoduleNet:
    """A new network whose DFPS head takes features along the axes of the boxes."""
    torch.manual_seed(seed + 1)
    net = NoduleNet()
    first = cast(nn.Linear, net.dfps.body[0])
    with torch.no_grad():
        first.weight = nn.Parameter(first.weight @ boxes.axes)
    return net


def loss_of(net: NoduleNet, boxes: Boxes, part: Tensor, both: bool) -> Tensor:
    """Loss of the head on some of the boxes: of classes, or of classes and boxes."""
    logits, deltas = net.dfps(boxes.pooled[part])
    nodule = boxes.nodule[part]
    loss = dfps_class_loss(logits, nodule, torch.ones_like(nodule))
    return loss + regression_loss(deltas, boxes.coded[part], nodule) * both


def learn(
    net: NoduleNet, boxes: Boxes, train: TrainSettings, steps: Sequence[int], both: bool
) -> tuple[list[float], list[float]]:
    """Shares of active and live units before the first step and after each of `steps`; every
    step's loss.

    train: `batch` is the number of boxes of a step here, `seed` that of their choice.
    """
    groups = parameter_groups(net, ["ncs", "dfps"], ["ncs"], train.warmup)
    optimiser = torch.optim.SGD(groups, momentum=train.momentum, weight_decay=train.weight_decay)
    set_rate(optimiser, train.lr)
    warm_up(optimiser, train.warmup, done=0)
    rng = np.random.default_rng(train.seed)
    shares: list[float] = []
    losses = []
    for step in range(max(steps) + 1):
        chosen = rng.choice(len(boxes.nodule), train.batch, replace=False)
        part = torch.from_numpy(chosen)
        if step == 0 or step in steps:
            with torch.no_grad():
                hidden = net.dfps.body[:2](boxes.pooled[part])
            shares += [float((hidden > 0).float().mean()), float(live_share(hidden))]
        loss = loss_of(net, boxes, part, both)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return shares, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--side", type=int, default=48, help="of a crop, voxels")
    parser.add_argument("--boxes", type=int, default=128, help="per step")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print_machine(["torch", "numpy"])
    torch.manual_seed(0)
    boxes = pool_boxes(NoduleNet().train(), options.crops, options.side)
    print(f"{len(boxes.nodule)} boxes, {int(boxes.nodule.sum())} of nodules")
    heads = [new_head(boxes, seed) for seed in range(options.seeds)]
    for both in (False, True):
        print_ways(boxes, heads, options, both)


def print_ways(
    boxes: Boxes, heads: Sequence[NoduleNet], options: argparse.Namespace, both: bool
) -> None:
    """Print a table, one row per way."""
    print(f"\nLoss of {'classes and boxes' if both else 'classes'}:\n")
    places = [f"{kind} {when}" for when in ("first", "then", "last") for kind in ("active", "live")]
    print("|", " | ".join(["rate", "warm-up", *places, "peak loss", "last loss"]), "|")
    print("| --- " * 10 + "|")
    for lr, warmup in WAYS:
        steps = sorted({options.steps, options.steps + warmup})
        rows: list[list[float]] = []
        for seed in range(options.seeds):
            way = TrainSettings(batch=options.boxes, lr=lr, warmup=warmup, seed=seed)
            shares, losses = learn(copy.deepcopy(heads[seed]), boxes, way, steps, both)
            rows.append([*shares[:4], *shares[-2:], max(losses), float(np.mean(losses[-10:]))])
        columns = list(zip(*rows, strict=True))
        texts = [f"{100 * min(c):.0f}-{100 * max(c):.0f} %" for c in columns[:6]]
        texts += [f"{min(c):.2f}-{max(c):.2f}" for c in columns[6:]]
        print("|", " | ".join([str(lr), str(warmup), *texts]), "|", flush=True)


if __name__ == "__main__":
    main()
