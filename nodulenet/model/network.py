"""The whole network."""

from typing import Literal

from torch import Tensor, nn

from nodulenet.model.backbone import Backbone, Features, scaled
from nodulenet.model.heads import DfpsHead, NcsHead, SrHead
from nodulenet.model.roi_pool import roi_pool

DFPS_CHANNELS = {"enc2": 64, "dec2": 128}
"""Channels of the published network's feature maps that DFPS can use."""


class NoduleNet(nn.Module):
    """Backbone and the heads NCS, DFPS and SR (Tang, Zhang and Xie, MICCAI 2019).

    width scales the channel numbers; 1.0 is the published network. dfps_features: the feature map
    used by DFPS, `enc2` (decoupled, as published) or `dec2` (the deep features that screening uses
    too: the single-branch ablation).
    """

    def __init__(self, width: float = 1.0, dfps_features: Literal["enc2", "dec2"] = "enc2") -> None:
        super().__init__()
        self.dfps_features = dfps_features
        self.backbone = Backbone(width)
        self.ncs = NcsHead(width)
        self.dfps = DfpsHead(scaled(DFPS_CHANNELS[dfps_features], width), width)
        self.sr = SrHead(width)

    def forward(self, image: Tensor) -> tuple[Features, Tensor, Tensor]:
        """(batch, 1, z, y, x), sizes multiples of 16 -> features, NCS logits and deltas."""
        features = self.backbone(image)
        return features, *self.ncs(features.dec2)

    def score(self, features: Features, items: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """DFPS logits (N, 2) and deltas (N, 6) of boxes (N, 6) in batch items (N,)."""
        return self.dfps(roi_pool(getattr(features, self.dfps_features), items, boxes))


def normalise(image: Tensor) -> Tensor:
    """uint8 intensities -> the network's input."""
    return (image.float() - 128) / 128
