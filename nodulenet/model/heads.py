"""The three heads: candidate screening, false positive reduction, segmentation refinement."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv3d, interpolate

from nodulenet.boxes.anchors import ANCHOR_SIDES, STRIDE
from nodulenet.boxes.roi import ROI_SIDE
from nodulenet.model.backbone import Features, scaled
from nodulenet.model.device import convolved
from nodulenet.model.roi_pool import CropGroup, cut


def in_float32(device: torch.device) -> AbstractContextManager:
    """No autocast: in bfloat16 many boxes would have equal probabilities."""
    if not torch.amp.is_autocast_available(device.type):  # such as meta, which has only shapes
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class NcsHead(nn.Module):
    """Nodule candidate screening: a logit and six deltas for every anchor of dec2's grid."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        hidden = scaled(64, width)
        self.body = nn.Sequential(nn.Conv3d(scaled(128, width), hidden, 1), nn.ReLU(inplace=True))
        self.logits = nn.Conv3d(hidden, len(ANCHOR_SIDES), 1)
        self.deltas = nn.Conv3d(hidden, 6 * len(ANCHOR_SIDES), 1)

    def forward(self, dec2: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, C, z, y, x) -> logits (batch, N) and deltas (batch, N, 6), as `anchor_grid`."""
        with in_float32(dec2.device):
            hidden = self.body(dec2.float())
            logits = self.logits(hidden).permute(0, 2, 3, 4, 1)
            deltas = self.deltas(hidden).permute(0, 2, 3, 4, 1)
        batch = len(dec2)
        return logits.reshape(batch, -1), deltas.reshape(batch, -1, 6)


class DfpsHead(nn.Module):
    """Decoupled false positive reduction: class 1 = nodule, and six deltas for each class."""

    def __init__(self, channels: int, width: float = 1.0) -> None:
        super().__init__()
        c512, c256 = scaled(512, width), scaled(256, width)
        self.body = nn.Sequential(
            nn.Linear(channels * ROI_SIDE**3, c512),
            nn.ReLU(inplace=True),
            nn.Linear(c512, c256),
            nn.ReLU(inplace=True),
        )
        self.logits = nn.Linear(c256, 2)
        self.deltas = nn.Linear(c256, 12)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """RoI features (N, C, 7, 7, 7) -> logits (N, 2) and the nodule class's deltas (N, 6)."""
        hidden = self.body(pooled.flatten(1)).float()
        with in_float32(pooled.device):
            return self.logits(hidden), self.deltas(hidden)[:, 6:]


class CropNorm(nn.InstanceNorm3d):
    """Instance normalisation of crops (n, C, z, y, x), in any memory format.

    torch's implementation copies its input to channels first.
    """

    def forward(self, x: Tensor) -> Tensor:
        how = norm_each if x.device.type == "cpu" else norm_together
        return how(x, self.weight, self.bias, self.eps)


def norm_each(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Crop by crop, as batch normalisation of a batch of one: fastest on the CPU."""
    each = [batch_norm(crop, None, None, weight, bias, True, 0.0, eps) for crop in x.split(1)]
    return torch.cat(each) if len(each) > 1 else each[0]


def norm_together(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """All crops by the same few calls, with statistics in float32."""
    exact = x.float()
    variance, mean = torch.var_mean(exact, (2, 3, 4), correction=0, keepdim=True)
    scale = weight[:, None, None, None] * (variance + eps).rsqrt()
    return ((exact - mean) * scale + bias[:, None, None, None]).to(x.dtype)


def refinement(channels_in: int, channels_out: int) -> nn.Sequential:
    """conv3, instance normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, padding=1),
        CropNorm(channels_out, affine=True),
        nn.ReLU(inplace=True),
    )


def doubled(x: Tensor) -> Tensor:
    """Trilinear upsampling by two."""
    return interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)


def convolved_with_image(conv: nn.Conv3d, x: Tensor, image: Tensor) -> Tensor:
    """`conv` of x concatenated with the image as its last channel, without making the copy."""
    of_x = conv3d(x, conv.weight[:, :-1], conv.bias, padding=1)
    return of_x + conv3d(image, conv.weight[:, -1:], padding=1)


class SrHead(nn.Module):
    """Segmentation refinement of crops of one size, from 1/4 to full resolution."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c32, c64, c128 = (scaled(c, width) for c in (32, 64, 128))
        self.to_half = refinement(c128, c64)
        self.at_half = refinement(c64 + c32, c64)
        self.to_full = refinement(c64, c64)
        self.at_full = refinement(c64 + 1, c64)
        self.logits = nn.Conv3d(c64, 1, 1)

    def forward(self, features: Features, groups: Sequence[CropGroup]) -> list[Tensor]:
        """Logits (n, z, y, x) of the crops of every group; sides and corners are multiples of 4."""
        maps = (features.dec2, features.enc1, features.image)
        steps = (STRIDE, 2, 1)
        crops = (cut(x, groups, step) for x, step in zip(maps, steps, strict=True))
        return [self.refine(*parts) for parts in zip(*crops, strict=True)]

    def refine(self, dec2: Tensor, enc1: Tensor, image: Tensor) -> Tensor:
        """Logits (n, z, y, x) of crops of one size, (n, C, z, y, x) at 1/4, 1/2 and 1/1."""
        x = convolved(self.to_half, doubled(dec2))
        x = convolved(self.at_half, torch.cat([x, enc1], 1))
        x = self.to_full(doubled(x))
        conv = cast(nn.Conv3d, self.at_full[0])
        x = self.at_full[1:](convolved_with_image(conv, x, image))
        return self.logits(x)[:, 0].float()
