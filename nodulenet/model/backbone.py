"""The U-shaped residual backbone of NoduleNet (Tang et al., MICCAI 2019)."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool3d

from nodulenet.model.device import convolved


def scaled(channels: int, width: float) -> int:
    """Channel number of the published network times `width`, at least 4."""
    return max(4, round(channels * width))


class Features(NamedTuple):
    """The feature maps used by the heads, each (batch, channels, z, y, x).

    image: the normalised input; enc1: at 1/2; enc2 and dec2: at 1/4 of its resolution.
    """

    image: Tensor
    enc1: Tensor
    enc2: Tensor
    dec2: Tensor


class ResidualBlock(nn.Module):
    """conv3, BN, ReLU, conv3, BN plus a shortcut: conv1 and BN where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels_in, channels_out, 3, padding=1),
            nn.BatchNorm3d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels_out, channels_out, 3, padding=1),
            nn.BatchNorm3d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv3d(channels_in, channels_out, 1), nn.BatchNorm3d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.body(x) + self.shortcut(x))


def stem(channels: int) -> nn.Sequential:
    """Two convolutions; the first one halves the resolution."""
    return nn.Sequential(
        nn.Conv3d(1, channels, 3, stride=2, padding=1),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
        nn.Conv3d(channels, channels, 3, padding=1),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def upsampling(channels: int) -> nn.Sequential:
    """A transposed convolution that doubles the resolution."""
    return nn.Sequential(
        nn.ConvTranspose3d(channels, channels, 2, stride=2),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def residual_blocks(*channels: int) -> nn.Sequential:
    """Residual blocks from each channel number to the next."""
    return nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(channels)))


class Backbone(nn.Module):
    """Encoder to 1/16, decoder back to 1/4; every spatial size must be a multiple of 16."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c24, c32, c64, c128 = (scaled(c, width) for c in (24, 32, 64, 128))
        self.stem = stem(c24)
        self.enc1 = residual_blocks(c24, c32, c32)
        self.enc2 = residual_blocks(c32, c64, c64)
        self.enc3 = residual_blocks(c64, c64, c64, c64)
        self.enc4 = residual_blocks(c64, c64, c64, c64)
        self.up3 = upsampling(c64)
        self.dec3 = residual_blocks(2 * c64, c64, c64, c64)
        self.up2 = upsampling(c64)
        self.dec2 = residual_blocks(2 * c64, c128, c128, c128)

    def forward(self, image: Tensor) -> Features:
        """(batch, 1, z, y, x) normalised intensities -> the features of the heads."""
        enc1 = self.enc1(self.stem(image))
        enc2 = self.enc2(max_pool3d(enc1, 2))
        enc3 = self.enc3(max_pool3d(enc2, 2))
        enc4 = convolved(self.enc4, max_pool3d(enc3, 2))
        dec3 = self.dec3(torch.cat([self.up3(enc4), enc3], 1))
        dec2 = self.dec2(torch.cat([self.up2(dec3), enc2], 1))
        return Features(image, enc1, enc2, dec2)
