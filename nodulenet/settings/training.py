"""The sections on training: crops, stages and optimisation."""

from typing import Annotated, Any, Literal

from pydantic import Field, Strict, field_validator, model_validator

from nodulenet.settings.base import Count, Factor, Grey, Name, Section, StageName, Weight, Whole

Branch = Literal["ncs", "dfps", "sr"]
"""Nodule candidate screening, false positive reduction, segmentation refinement."""

PUBLISHED_STAGES: dict[str, dict[str, Any]] = {
    "ncs": {"epochs": 65, "branches": ["ncs"]},
    "dfps": {"after": "ncs", "epochs": 15, "branches": ["ncs", "dfps"]},
    "full": {"after": "dfps", "epochs": 120, "branches": ["ncs", "dfps", "sr"]},
    "dfps_only": {"after": "dfps", "epochs": 120, "branches": ["ncs", "dfps"]},
    "ncs_only": {"after": "ncs", "epochs": 135, "branches": ["ncs"]},
}


class AugmentSettings(Section):
    """Random augmentation of the training crops."""

    flip: bool = True
    """Whether crops are flipped along y and x."""
    rotate: bool = True
    """Whether crops are rotated about z."""
    scale: Annotated[tuple[Factor, Factor], Strict(False)] = (0.75, 1.25)
    """Smallest and largest scale factor."""
    margin: Whole = 12
    """Voxels between a nodule and the faces of its crop, if possible."""
    jitter: Whole = 6
    """Largest offset in voxels from the crop's centre of a nodule too large for the margin."""
    rotation_fill: Grey = 170
    """Grey value of corners left empty by a rotation; 0 in the released code."""
    random_crops: Weight = 0
    """Number of crops at random positions per crop around a nodule."""
    hard_negatives: Weight = 0
    """Number of crops around false positives per crop around a nodule: the 30 most probable of each
    scan by the weights of `train.init`."""


class StageSettings(Section):
    """A training stage."""

    after: StageName | None = None
    """Stage whose weights this one starts from."""
    epochs: Count
    """Epochs of this stage alone."""
    branches: Annotated[tuple[Branch, ...], Strict(False)]
    """Branches that are trained: [ncs], [ncs, dfps] or [ncs, dfps, sr]."""

    @field_validator("branches")
    @classmethod
    def check_branches(cls, branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Require the order of the branches: each uses the output of the one before."""
        order: tuple[Branch, ...] = ("ncs", "dfps", "sr")
        if not branches or branches != order[: len(branches)]:
            raise ValueError("should be [ncs], [ncs, dfps] or [ncs, dfps, sr]")
        return branches


MACHINE = ("device", "gpus", "workers", "compile")
"""Keys of `train` that say where and how fast it is computed. Changing them trains nothing again,
although `gpus` changes the micro-batches if `micro_batch` is null, and others the rounding."""


class TrainSettings(Section):
    """Training, by stochastic gradient descent."""

    stages: dict[StageName, StageSettings] = Field(default_factory=dict)  # by over_published
    """The stages by name. Omitted keys of a published stage keep their values; a published stage
    that is neither named nor needed by `evaluate` is ignored."""
    evaluate: Annotated[tuple[StageName, ...], Strict(False), Field(min_length=1)] = (
        "full",
        "dfps_only",
        "ncs_only",
    )
    """Stages used for prediction and compared."""
    init: Name = "none"
    """Weights that the first stages start from: none, as published; bundled, those of the bundled
    detector (docs/model_card.md); or a weights file. The section `model` must be theirs."""
    batch: Count = 16
    """Crops per step."""
    gpus: Count = 1
    """Devices that share a batch: GPUs, or processes on the CPU."""
    micro_batch: Count | None = None
    """Crops computed at once, to save memory; null: a device's share of the batch."""
    sync_batch_norm: bool = False
    """Whether batch statistics are computed over all devices; on GPUs only."""
    crop: Annotated[int, Field(ge=32, multiple_of=16)] = 128
    """Side of the training crops in voxels."""
    lr: Factor = 0.01
    """Learning rate; divided by 10 after 50 % and 80 % of the epochs."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum; its buffers are passed on from stage to stage."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0001
    """L2 penalty on the weights."""
    warmup: Whole = 0
    """Steps over which the learning rate of a stage's new parameters rises to lr
    (docs/stages.md)."""
    validate_every: Count = 10
    """Epochs between two evaluations of the CPM on the patients of folds.validation."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one."""
    workers: Count | None = None
    """Threads that cut crops in advance; null: the threads of the process."""
    amp: bool = True
    """Whether to compute in bfloat16 if the processor supports it."""
    compile: bool = False
    """Whether torch.compile optimises the backbone; it needs a C++ compiler."""
    seed: Whole = 0
    """Seed of the initial weights, the crops, and the anchors and boxes drawn for the losses."""

    @model_validator(mode="before")
    @classmethod
    def over_published(cls, values: Any) -> Any:
        """Merge the given stages into the published ones, and drop those that are not needed.

        An unneeded stage would lengthen the schedule of the learning rate.
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
        for name in needed:  # grows during the loop
            stage = stages.get(name)
            after = stage.get("after") if isinstance(stage, dict) else getattr(stage, "after", None)
            if after and after not in needed:
                needed.append(after)
        kept = {name: stage for name, stage in stages.items() if name in needed}
        return {**values, "stages": kept}

    @model_validator(mode="after")
    def check_stages(self) -> "TrainSettings":
        """Reject stages that do not exist or form a cycle."""
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

        Raises `ValueError` naming the key of a stage that does not exist or closes a cycle.
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

    def longest_after(self, name: str) -> int:
        """Epochs of the longest path of stages after a stage."""
        children = [child for child, stage in self.stages.items() if stage.after == name]
        lines = (self.stages[child].epochs + self.longest_after(child) for child in children)
        return max(lines, default=0)

    def part(self, name: str) -> "TrainSettings":
        """The part of the section that the training of a stage depends on.

        Of the other stages these are its ancestors and, as one stage, the longest path after it,
        whose epochs affect the learning rate. So neither a new stage nor another machine changes
        stages already trained.
        """
        stages = {stage: self.stages[stage] for stage in [*reversed(self.ancestors(name)), name]}
        if epochs := self.longest_after(name):
            later = f"{name}_later"
            while later in stages:
                later += "_"
            stages[later] = StageSettings(after=name, epochs=epochs, branches=("ncs",))
        machine = {key: TrainSettings.model_fields[key].default for key in MACHINE}
        return self.model_copy(update={"stages": stages, "evaluate": (name,), **machine})
