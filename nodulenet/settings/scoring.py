"""The sections on prediction and evaluation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nodulenet.settings.base import Fraction, Grey, Name, PositiveFraction, Section, Whole


class InferenceSettings(Section):
    """Prediction of whole scans."""

    ncs_threshold: Fraction = 0.5
    """Probability above which a candidate is kept."""
    nms_iou: PositiveFraction = 0.1
    """A candidate is suppressed from this IoU with a more probable one."""
    mask_iou: PositiveFraction = 0.3
    """A mask is suppressed above this IoU with that of a more probable candidate."""
    tile: Annotated[int, Field(ge=128, multiple_of=16)] | None = None
    """Side of overlapping tiles in voxels (such as 256) to save memory; null: the whole scan."""
    halo: Annotated[int, Field(ge=16, multiple_of=16)] = 64
    """Voxels at each side of a tile that are context only (docs/performance.md)."""
    pad_value: Grey = 170
    """Grey value beyond the far ends of the volume; 0 in the released code."""

    @model_validator(mode="after")
    def check_tile(self) -> "InferenceSettings":
        """Reject tiles without a core between the halos."""
        if self.tile is not None and self.tile <= 2 * self.halo:
            raise ValueError(f"tile: {self.tile} is not above twice halo, {self.halo}")
        return self


class FrocSettings(Section):
    """Evaluation of the predictions."""

    protocol: Literal["nodulenet", "luna16"] = "nodulenet"
    """nodulenet: our consensus, scans with nodules; luna16: the challenge's lists, all scans
    (docs/evaluation.md)."""
    luna16: Name | None = None
    """For luna16: the folder with annotations.csv, annotations_excluded.csv and seriesuids.csv."""
    readout: Literal["challenge", "next_vertex"] = "challenge"
    """How the sensitivity at a rate is read: challenge, or next_vertex (as in the released
    code)."""
    bootstrap: Whole = 1000
    """Bootstrap samples for the 95 % interval; 0 for none."""
