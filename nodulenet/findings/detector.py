"""Networks as one function from a preprocessed volume to candidates, with their provenance."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError, sha256
from nodulenet.settings import InferenceSettings, PreprocessSettings
from nodulenet.weights import BUNDLED_NAME, weights_name

if TYPE_CHECKING:
    from nodulenet.inference.predictor import Member, ScanPrediction

    Advance = Callable[[], object]


@dataclass(frozen=True)
class Algorithm:
    """The networks by name and SHA-256, and one hash of them all.

    Names are ASCII without commas and equals signs, which separate parameters in DICOM, and without
    folders, which may name a user.
    """

    networks: tuple[tuple[str, str], ...]
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Detector:
    """A network, or an ensemble.

    predict: (uint8 volume (z, y, x), what to call after each pass) -> candidates. preprocess: the
    preprocessing of its images; margin_total: voxels by which its boxes are larger than the
    nodules; weights, settings: where each network comes from and how it predicts, in plain types;
    steps: maximum number of its calls for a volume predicted at once.
    """

    predict: Callable[[NDArray[np.uint8], Advance], ScanPrediction]
    preprocess: PreprocessSettings
    margin_total: float
    weights: Sequence[dict[str, Any]]
    settings: dict[str, Any]
    steps: int

    @property
    def algorithm(self) -> Algorithm:
        """What DICOM objects say of the networks."""
        hashes = "".join(weights["sha256"] for weights in self.weights)
        return Algorithm(
            tuple((_dicom_name(weights), weights["sha256"]) for weights in self.weights),
            hashlib.sha256(hashes.encode()).hexdigest(),
        )

    @property
    def segments(self) -> bool:
        """Whether the networks give masks."""
        return any("sr" in one["branches"] for one in self.weights)


def _dicom_name(weights: Mapping[str, Any]) -> str:
    name = "bundled detector" if weights["name"] == BUNDLED_NAME else Path(weights["path"]).name
    return re.sub("[,=]", "_", name.encode("ascii", "replace").decode())


def load_detector(
    weights: Sequence[Path],
    device: str,
    least: float,
    settings: InferenceSettings,
    *,
    tta: bool = False,
) -> Detector:
    """Read weights files into a detector that segments candidates of probability `least`.

    tta: average the eight mirror images. Raises `InputError` as `load_members` does, and in the
    call where a network's output is not finite.
    """
    from nodulenet.inference.predictor import MIRRORS, UNMIRRORED, Predictor, load_members
    from nodulenet.inference.tiles import predict_volume
    from nodulenet.model.device import choose_device
    from nodulenet.model.objective import Diverged

    members = load_members(weights, choose_device(device))
    mirrors = MIRRORS if tta else UNMIRRORED
    predictor = Predictor(members, settings, mirrors=mirrors, least=least)

    def predict(volume: NDArray[np.uint8], advance: Advance) -> ScanPrediction:
        try:
            return predict_volume(predictor, volume, advance)
        except Diverged as error:
            raise InputError(f"{weights[0]}: {error}") from error

    first = members[0]
    place = {"mirrors": len(mirrors), "device": str(next(first.net.parameters()).device)}
    return Detector(
        predict=predict,
        preprocess=first.provenance.preprocess,
        margin_total=first.provenance.margin_total,
        weights=[weights_facts(member) for member in members],
        settings=settings.plain() | place,
        steps=predictor.steps,
    )


def weights_facts(member: Member) -> dict[str, Any]:
    """The provenance of a network, in plain types."""
    provenance = member.provenance
    return {
        "name": weights_name(member.path),
        "path": str(member.path),
        "sha256": sha256(member.path),
        "stage": provenance.stage,
        "fold": provenance.fold,
        "epochs": provenance.epochs,
        "branches": list(provenance.branches),
        "width": provenance.model.width,
    }
