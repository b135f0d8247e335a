"""A predictor: one or several networks, mirror images, settings; and a scan's prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodulenet.files import InputError
from nodulenet.masks import CroppedMask
from nodulenet.model.device import to_device, tune
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import Provenance, load_weights
from nodulenet.settings import InferenceSettings

Mirror = tuple[int, ...]
UNMIRRORED: tuple[Mirror, ...] = ((),)
MIRRORS = tuple(axes for n in range(4) for axes in combinations(range(3), n))
"""The axes (z, y, x) along which each of the eight mirror images is flipped."""


@dataclass(frozen=True, eq=False)
class ScanPrediction:
    """Candidates of one scan, one row per NCS candidate in descending order of NCS probability.

    ncs_boxes, dfps_boxes: (N, 6) voxels; probabilities: (N,); kept: (N,) whether the decoded
    box survived the second NMS; masks: row -> cropped mask. The dfps fields are None for a
    network without that branch.
    """

    ncs_boxes: NDArray[np.float32]
    ncs_probability: NDArray[np.float32]
    dfps_boxes: NDArray[np.float32] | None
    dfps_probability: NDArray[np.float32] | None
    kept: NDArray[np.bool_]
    masks: dict[int, CroppedMask]


@dataclass(frozen=True, eq=False)
class Member:
    """A network of an ensemble, in evaluation mode, with its provenance and file."""

    net: NoduleNet
    provenance: Provenance
    path: Path = Path()


@dataclass(frozen=True, eq=False)
class Pass:
    """A network and a mirror image of the scan."""

    member: Member
    mirror: Mirror

    def mirrored(self, image: Tensor) -> Tensor:
        """The image (1, 1, z, y, x) as this pass sees it."""
        return image.flip([axis + 2 for axis in self.mirror])


@dataclass(frozen=True, eq=False)
class Predictor:
    """An ensemble of one or more networks, and how it predicts.

    mirrors: the mirror images given to each network; least: the minimum mean of both probabilities
    for a candidate to be segmented.
    """

    members: Sequence[Member]
    settings: InferenceSettings
    amp: bool = True
    mirrors: Sequence[Mirror] = UNMIRRORED
    least: float = 0.0

    @property
    def passes(self) -> list[Pass]:
        """Every member with every mirror image."""
        return [Pass(member, mirror) for member in self.members for mirror in self.mirrors]

    @property
    def steps(self) -> int:
        """Maximum number of passes through a backbone. The features of a single pass are kept."""
        number = len(self.passes)
        again = number > 1 and "sr" in self.members[0].provenance.branches
        return number * (1 + again)


def load_members(paths: Sequence[Path], device: torch.device) -> list[Member]:
    """Read the networks of an ensemble onto a device, ready to predict.

    Raises `InputError` for a file that is not a weights file and for one whose preprocessing,
    branches, margin or snapping of boxes differ from the first.
    """
    tune(device, fixed_shapes=False)
    members = []
    for path in paths:
        net, provenance = load_weights(path)
        to_device(net.eval(), device)
        members.append(Member(net, provenance, path))
    for other in members[1:]:
        first, own = _common(members[0]), _common(other)
        for what in first:
            if own[what] != first[what]:
                raise InputError(f"{other.path}: trained with another {what} than {paths[0]}")
    return members


def _common(member: Member) -> dict[str, object]:
    """The properties that the members of an ensemble must share."""
    provenance = member.provenance
    return {
        "preprocessing": provenance.preprocess,
        "choice of branches": provenance.branches,
        "margin of boxes": provenance.margin_total,
        "snapping of boxes": provenance.settings.sr.snap,
    }
