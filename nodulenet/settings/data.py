"""The sections on the data: consensus of the readers, preprocessing, folds."""

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from nodulenet.settings.base import Count, Grey, Section, Whole

Protocol = Literal["nodulenet", "strict"]
Merge = Literal["union", "majority"]
ZRule = Literal["nearest", "truncate"]
Grid = Literal["world", "corners"]


class ConsensusSettings(Section):
    """How the readers' marks become nodules."""

    protocol: Protocol = "nodulenet"
    """nodulenet: filled outlines including the drawn pixels, one vote per mark (as published);
    strict: only the inside of the outlines without holes, one vote per reader."""
    level: Annotated[int, Field(ge=1, le=4)] = 3
    """Minimum number of votes for a group of marks to be a nodule."""
    iou_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Overlap with a group's first mark above which a mark joins the group."""
    merge: Merge = "union"
    """Mask of a nodule: union of its marks, or majority (voxels with at least half of the
    votes)."""
    components: bool = False
    """For masks: whether a file with a single label is split into its connected parts, each a
    nodule; otherwise every label is one nodule."""
    z: ZRule = "nearest"
    """Slice of an outline: the nearest one, or its position truncated (as in the released code)."""


class PreprocessSettings(Section):
    """Preprocessing of a CT to the network's input."""

    resample: bool = True
    """Whether to resample to 1 mm; false keeps the scan's own grid."""
    grid: Grid = "world"
    """world: the affine is exact; corners: the centres of the corner voxels are kept."""
    hu_window: Annotated[tuple[float, float], Strict(False)] = (-1200, 600)
    """HU mapped to 0 and 255."""
    pad_value: Grey = 170
    """Grey value outside the lungs."""
    margin: Whole = 5
    """Voxels kept around the lungs."""

    @model_validator(mode="after")
    def check_window(self) -> "PreprocessSettings":
        """Reject an empty window."""
        low, high = self.hu_window
        if low >= high:
            raise ValueError(f"hu_window: {low:g} is not below {high:g}")
        return self


class FoldsSettings(Section):
    """Cross-validation. A column `fold` in the scan table fixes the folds instead; every network is
    trained on a scan whose fold is `train`."""

    number: Count = 6
    """Number of folds; 1 for one test set, or if every network is given in `weights`."""
    seed: Whole = 0
    """Seed for the order of patients with the same number of nodules."""
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training patients of each fold held out to monitor training (docs/stages.md);
    null: none, as published."""
