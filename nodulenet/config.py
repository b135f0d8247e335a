"""Config files, merged as Snakemake merges them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodulenet.files import InputError
from nodulenet.numerals import NUMBER

PLAIN = {"int": re.compile(r"[+-]?(?:0|[1-9][0-9]*)"), "float": NUMBER}


def read_config(paths: Sequence[Path], sections: Sequence[str] = ()) -> dict[str, Any]:
    """Read config files, later ones over earlier ones.

    Raises `InputError` naming a file that is no table of YAML or holds a number that is no plain
    one, or one of `sections` that all lack.
    """
    import yaml  # `nodulenet doctor` runs without it, to say that it is missing

    config: dict[str, Any] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            content = yaml.safe_load(text)
            fault = _odd_number(text)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        except (ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise InputError(f"{path}: holds no keys")
        if fault:
            raise InputError(f"{path}: {fault}")
        config = overlay(config, content)
    for name in sections:
        if not isinstance(config.get(name), dict):
            raise InputError(f"{paths[-1]}: there is no section {name} in {len(paths)} files")
    return config


def _odd_number(text: str) -> str:
    """The first number of a YAML document that is no plain one, and its line; "" without one.

    YAML 1.1 reads `1_0` as 10, `010` as 8, `1:30` as 90, and knows `0x10`, `.inf` and `.nan`.
    """
    import yaml

    loader = yaml.SafeLoader("")
    for event in yaml.parse(text):
        if isinstance(event, yaml.ScalarEvent):
            tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
            plain = PLAIN.get(tag.rpartition(":")[2])
            if plain and event.start_mark and not plain.fullmatch(event.value):
                return f"line {event.start_mark.line + 1}: {event.value} is not a plain number"
    return ""


def overlay(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`top` over `base`, mapping by mapping."""
    merged = dict(base)
    for key, value in top.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if nested else value
    return merged
