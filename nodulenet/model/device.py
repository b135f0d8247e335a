"""The device and the precision of the network."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from nodulenet.files import InputError

SMALLEST_SIDE = 3


def choose_device(name: str) -> torch.device:
    """`auto` (a GPU if there is one), `cpu` or `cuda`. Raises `InputError` without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda was requested, but torch finds no GPU on this machine")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def to_device(net: nn.Module, device: torch.device) -> None:
    """Move a network, in the channels-last memory format, in which convolutions are faster."""
    net.to(device)
    net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # a gap in torch


def tune(device: torch.device, fixed_shapes: bool) -> None:
    """On a GPU, compute float32 products in TF32 and, for fixed shapes, let cuDNN try which
    convolutions are fastest.

    fixed_shapes: whether only a few input shapes occur; each new one costs a slow trial.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = fixed_shapes


@contextmanager
def for_any_shape() -> Iterator[None]:
    """Within the context no input shape is compiled for, or tried out on a GPU."""
    trials = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.cudnn.benchmark = trials


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def mixed_precision(device: torch.device, wanted: bool) -> AbstractContextManager:
    """bfloat16 autocast if it is wanted and the device supports it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and has_bf16(device))


def convolved(layers: nn.Module, x: Tensor) -> Tensor:
    """Apply convolutions to x (batch, C, z, y, x), in float32 where bfloat16 gives wrong results.

    On the CPU torch 2.13's bfloat16 weight gradient of a 3x3x3 convolution reads uninitialised
    memory if a side of its input is 2 voxels.
    """
    if x.device.type == "cpu" and min(x.shape[2:]) < SMALLEST_SIDE:
        with torch.autocast("cpu", enabled=False):
            return layers(x.float())
    return layers(x)
