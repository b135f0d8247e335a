"""The settings of a run: typed, documented, with the published values as defaults."""

from nodulenet.settings.reading import check_settings, overlay, read_config, read_settings
from nodulenet.settings.sections import (
    AugmentSettings,
    Branch,
    ConsensusSettings,
    DfpsSettings,
    FoldsSettings,
    FrocSettings,
    InferenceSettings,
    ModelSettings,
    NcsSettings,
    PreprocessSettings,
    Settings,
    SrSettings,
    StageSettings,
    TargetSettings,
    TrainingSettings,
    TrainSettings,
)

__all__ = [
    "AugmentSettings",
    "Branch",
    "ConsensusSettings",
    "DfpsSettings",
    "FoldsSettings",
    "FrocSettings",
    "InferenceSettings",
    "ModelSettings",
    "NcsSettings",
    "PreprocessSettings",
    "Settings",
    "SrSettings",
    "StageSettings",
    "TargetSettings",
    "TrainSettings",
    "TrainingSettings",
    "check_settings",
    "overlay",
    "read_config",
    "read_settings",
]
