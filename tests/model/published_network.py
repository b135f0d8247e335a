"""The published network from the raw tensors of its checkpoint and torch's functional calls.

Written from the layer table, without the package: what an imported checkpoint must compute.
"""

import csv
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

LIST = Path(__file__).with_name("released_checkpoint_keys.tsv")

State = dict[str, Tensor]


def read_list(path: Path = LIST) -> list[dict[str, str]]:
    """The rows of the list: key, shape, dtype, part."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def narrowed(shape: list[int]) -> list[int]:
    """The shape of the same tensor in a network of a quarter of the channels."""
    outputs = (1, 2, 5, 12, 30)  # of the heads, and the image
    joined = {65: 17}  # the image beside 64 channels
    channels = [n if n in outputs else joined.get(n, n // 4) for n in shape[:2]]
    return channels + shape[2:]


def random_state(seed: int = 0, narrow: bool = False) -> State:
    """Random weights and statistics with the names and shapes of the list, kept in range."""
    generator = torch.Generator().manual_seed(seed)

    def tensor(key: str, shape: list[int]) -> Tensor:
        if key.endswith("num_batches_tracked"):
            return torch.randint(1, 9999, shape, generator=generator)
        values = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            return values * math.sqrt(2 / math.prod(shape[1:]))
        positive = key.endswith("running_var") or key.endswith(".weight")
        return values.abs() * 0.3 + 0.7 if positive else values * 0.3

    rows = read_list()
    shapes = {r["key"]: [int(n) for n in r["shape"].split("x") if n != "scalar"] for r in rows}
    if narrow:
        shapes = {key: narrowed(shape) for key, shape in shapes.items()}
    return {key: tensor(key, shape) for key, shape in shapes.items()}


def conv(s: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = s[f"{name}.weight"]
    return F.conv3d(x, weight, s[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)


def batch_norm(s: State, name: str, x: Tensor) -> Tensor:
    mean, variance = s[f"{name}.running_mean"], s[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, s[f"{name}.weight"], s[f"{name}.bias"])


def stem(s: State, x: Tensor) -> Tensor:
    name = "feature_net.preBlock"
    x = F.relu(batch_norm(s, f"{name}.1", conv(s, f"{name}.0", x, stride=2)))
    return F.relu(batch_norm(s, f"{name}.4", conv(s, f"{name}.3", x)))


def blocks(s: State, part: str, number: int, x: Tensor) -> Tensor:
    for k in range(number):
        name = f"feature_net.{part}.{k}"
        y = F.relu(batch_norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x)))
        y = batch_norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y))
        if f"{name}.shortcut.0.weight" in s:
            x = batch_norm(s, f"{name}.shortcut.1", conv(s, f"{name}.shortcut.0", x))
        x = F.relu(x + y)
    return x


def upsampled(s: State, part: str, x: Tensor) -> Tensor:
    name = f"feature_net.{part}"
    x = F.conv_transpose3d(x, s[f"{name}.0.weight"], s[f"{name}.0.bias"], stride=2)
    return F.relu(batch_norm(s, f"{name}.1", x))


def backbone(s: State, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, 1, z, y, x) -> enc1 at 1/2, enc2 and dec2 at 1/4."""
    enc1 = blocks(s, "forw1", 2, stem(s, image))
    enc2 = blocks(s, "forw2", 2, F.max_pool3d(enc1, 2))
    enc3 = blocks(s, "forw3", 3, F.max_pool3d(enc2, 2))
    enc4 = blocks(s, "forw4", 3, F.max_pool3d(enc3, 2))
    dec3 = blocks(s, "back3", 3, torch.cat([upsampled(s, "path1", enc4), enc3], 1))
    dec2 = blocks(s, "back2", 3, torch.cat([upsampled(s, "path2", dec3), enc2], 1))
    return enc1, enc2, dec2


def screen(s: State, dec2: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (batch, 5, z, y, x), deltas (batch, 30, z, y, x)."""
    hidden = F.relu(conv(s, "rpn.conv.0", dec2))
    return conv(s, "rpn.logits", hidden), conv(s, "rpn.deltas", hidden)


def suppress(s: State, crop: Tensor) -> tuple[Tensor, Tensor]:
    """A crop (64, z, y, x) of enc2 -> logits (2,), deltas (12,)."""
    x = F.adaptive_max_pool3d(crop, 7).reshape(-1)
    for layer in ("fc1", "fc2"):
        x = F.relu(F.linear(x, s[f"rcnn_head.{layer}.weight"], s[f"rcnn_head.{layer}.bias"]))
    logits, deltas = (
        F.linear(x, s[f"rcnn_head.{name}.weight"], s[f"rcnn_head.{name}.bias"])
        for name in ("logit", "delta")
    )
    return logits, deltas


def refine(s: State, image: Tensor, enc1: Tensor, dec2: Tensor) -> Tensor:
    """The same crop of image, enc1 and dec2, (1, C, z, y, x) each -> logits (z, y, x)."""

    def layer(name: str, first: int, x: Tensor) -> Tensor:
        norm = f"mask_head.{name}.{first + 1}"
        x = conv(s, f"mask_head.{name}.{first}", x)
        return F.relu(F.instance_norm(x, weight=s[f"{norm}.weight"], bias=s[f"{norm}.bias"]))

    def doubled(x: Tensor) -> Tensor:
        size = [2 * n for n in x.shape[2:]]
        return F.interpolate(x, size, mode="trilinear", align_corners=False)

    x = layer("up2", 1, doubled(dec2))
    x = layer("back2", 0, torch.cat([x, enc1], 1))
    x = layer("up3", 1, doubled(x))
    x = layer("back3", 0, torch.cat([x, image], 1))
    return conv(s, "mask_head.logits1", x)[0, 0]
