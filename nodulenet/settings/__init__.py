"""The settings of a run: typed, documented, with the published values as defaults.

Defaults are defined only in these classes. `config.yaml` and the other config files set what
differs; the validation of a config file, its JSON schema, the reference page and the objects that
training, prediction and evaluation take are all derived from here.
"""

from nodulenet.settings.base import Section
from nodulenet.settings.data import (
    ConsensusSettings,
    FoldsSettings,
    Grid,
    Merge,
    PreprocessSettings,
    Protocol,
    ZRule,
)
from nodulenet.settings.external import ExternalSettings, OnBadScan, Source
from nodulenet.settings.network import (
    DfpsSettings,
    ModelSettings,
    NcsSettings,
    SrSettings,
    TargetSettings,
)
from nodulenet.settings.reading import check_settings, read_config, read_settings
from nodulenet.settings.scoring import FrocSettings, InferenceSettings
from nodulenet.settings.training import AugmentSettings, Branch, StageSettings, TrainSettings
from nodulenet.settings.whole import Recipe, Settings

__all__ = [
    "AugmentSettings",
    "Branch",
    "ConsensusSettings",
    "DfpsSettings",
    "ExternalSettings",
    "FoldsSettings",
    "FrocSettings",
    "Grid",
    "InferenceSettings",
    "Merge",
    "ModelSettings",
    "NcsSettings",
    "OnBadScan",
    "PreprocessSettings",
    "Protocol",
    "Recipe",
    "Section",
    "Settings",
    "Source",
    "SrSettings",
    "StageSettings",
    "TargetSettings",
    "TrainSettings",
    "ZRule",
    "check_settings",
    "read_config",
    "read_settings",
]
