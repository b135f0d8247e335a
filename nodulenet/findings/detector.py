"""Networks as one call from a preprocessed volume to its candidates, with what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError, sha256

if TYPE_CHECKING:
    from nodulenet.inference.ensemble import Member
    from nodulenet.inference.scan import ScanPrediction

    Step = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Detector:
    """A network, or several that predict as one.

    predict: (uint8 volume (z, y, x), step to call after each pass) -> candidates. preprocess: the
    parameters of its images; margin_total: voxels that its boxes are larger than the nodules;
    weights: where each network comes from; settings: how it predicts; passes: how often `step`
    is called for a volume predicted at once.
    """

    predict: Callable[[NDArray[np.uint8], Step], ScanPrediction]
    preprocess: Mapping[str, Any]
    margin_total: float
    weights: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    passes: int


def load_detector(
    weights: Sequence[Path],
    device: str,
    least: float,
    *,
    tta: bool = False,
    tile: int | None = None,
    pad_value: int = 170,
) -> Detector:
    """Read weights files into a detector that segments candidates of probability `least`.

    tta: average the eight mirror images; tile, pad_value: as in `InferenceSettings`. Raises
    `InputError` as `load_members` does, and in the call where a network gives no numbers.
    """
    from nodulenet.inference.ensemble import (
        MIRRORS,
        UNMIRRORED,
        load_members,
        passes,
        predict_ensemble,
    )
    from nodulenet.inference.scan import InferenceSettings
    from nodulenet.inference.tiles import predict_tiled
    from nodulenet.model.objective import Diverged

    members = load_members(weights, device)
    mirrors = MIRRORS if tta else UNMIRRORED
    settings = InferenceSettings(tile=tile, pad_value=pad_value)

    def part(volume: NDArray[np.uint8], step: Step) -> ScanPrediction:
        return predict_ensemble(members, volume, settings, mirrors=mirrors, least=least, step=step)

    def predict(volume: NDArray[np.uint8], step: Step) -> ScanPrediction:
        try:
            if tile is None:
                return part(volume, step)
            return predict_tiled(lambda array: part(array, step), volume, tile, settings)
        except Diverged as error:
            raise InputError(f"{weights[0]}: {error}") from error

    first = members[0].provenance
    return Detector(
        predict=predict,
        preprocess=first.preprocess,
        margin_total=float(first.settings["targets"]["margin_total"]),
        weights=[weights_facts(member) for member in members],
        settings=asdict(settings)
        | {"mirrors": len(mirrors), "device": str(next(members[0].net.parameters()).device)},
        passes=passes(members, mirrors),
    )


def weights_facts(member: Member) -> dict[str, Any]:
    """Where a network comes from, in plain types."""
    provenance = member.provenance
    return {
        "path": str(member.path),
        "sha256": sha256(member.path),
        "stage": provenance.stage,
        "fold": provenance.fold,
        "epochs": provenance.epochs,
        "branches": list(provenance.branches),
        "width": provenance.model.get("width"),
    }
