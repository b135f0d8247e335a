"""`nodulenet schema`: what an editor is told of the config."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from nodulenet import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def validator(capsys: pytest.CaptureFixture[str]) -> Draft202012Validator:
    assert cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", ["config.yaml", "lidc.yaml", "luna16.yaml", "released.yaml"])
def test_the_shipped_configs_fit(validator: Draft202012Validator, name: str) -> None:
    config = yaml.safe_load((ROOT / name).read_text())
    assert [error.message for error in validator.iter_errors(config)] == []


@pytest.mark.parametrize(
    "config",
    [
        {"ncs": {"negativs": 3}},
        {"ncs": {"negatives": 3.5}},
        {"train": {"stages": {"full": {"epochs": 0}}}},
        {"augment": {"scale": [0.5]}},
        {"preprocess": {"pad_value": 256}},
        {"froc": {"protocol": "x"}},
    ],
)
def test_what_the_workflow_refuses_does_not_fit(
    validator: Draft202012Validator, config: dict[str, object]
) -> None:
    assert not validator.is_valid(config)


def test_every_key_is_described(validator: Draft202012Validator) -> None:
    sections = {"": validator.schema, **validator.schema["$defs"]}
    for name, section in sections.items():
        for key, own in section["properties"].items():
            assert "description" in own or "$ref" in own, f"{name}.{key}"
