"""The published values: defaults of the records, and the config of the full reproduction."""

from pathlib import Path

import yaml

from nodulenet.model.settings import DfpsSettings, NcsSettings, SrSettings
from nodulenet.training.crops import Augmentation
from nodulenet.training.settings import (
    Optimisation,
    read_augmentation,
    read_objective,
    read_optimisation,
)
from nodulenet.training.stages import resolve_stage

ROOT = Path(__file__).parents[2]


def test_lidc_yaml_over_config_yaml_is_the_published_training() -> None:
    config, lidc = (
        yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "lidc.yaml")
    )
    for section, values in lidc.items():
        config[section] = {**config[section], **values} if isinstance(values, dict) else values
    # The warm-up alone is not published: docs/stages.md has the figures that it rests on.
    assert read_optimisation(config["train"]) == Optimisation(warmup=200)
    assert read_augmentation(config["augment"]) == Augmentation()
    stage = resolve_stage(config["train"]["stages"], "full")
    objective = read_objective(config, stage)
    assert (objective.ncs, objective.dfps, objective.sr) == (
        NcsSettings(),
        DfpsSettings(),
        SrSettings(),
    )
    assert objective.margin_total == 8
    assert config["model"] == {"width": 1.0, "dfps_features": "enc2"}
    assert config["folds"]["number"] == 6
    for name in ("full", "dfps_only", "ncs_only"):
        assert resolve_stage(config["train"]["stages"], name).total == 200
