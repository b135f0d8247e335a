"""Config files, merged as Snakemake merges them, and their validation."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from nodulenet.files import InputError
from nodulenet.numerals import NUMBER
from nodulenet.settings.base import Section
from nodulenet.settings.whole import Settings

PLAIN = {"int": re.compile(r"[+-]?(?:0|[1-9][0-9]*)"), "float": NUMBER}
"""YAML's name of a kind of number -> its plain notation."""

UNKNOWN = ("extra_forbidden", "invalid_key")
"""Pydantic's error types for unknown keys."""

KINDS = {
    "dict_type": "should be a section of keys",
    "model_type": "should be a section of keys",
    "tuple_type": "should be a list",
}
"""Pydantic's error type -> message in the terms of YAML, where that differs."""


def read_settings(paths: Sequence[Path]) -> Settings:
    """The settings of config files; later files override earlier ones and the published values.

    Raises as `read_config` and `check_settings`.
    """
    return check_settings(read_config(paths), ", ".join(map(str, paths)))


def check_settings(config: Mapping[str, Any], name: str) -> Settings:
    """The settings of a mapping, with the published values as defaults.

    name: of the file or files, for the message. Raises `InputError` with one line that names a key
    that is unknown (with the most similar known one), missing, of the wrong type or out of range.
    """
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        raise InputError(f"{name}: {explain(error, Settings)}") from None


def explain(error: ValidationError, kind: type[Section]) -> str:
    """One line that names a faulty key and the fault; unknown keys are reported first."""
    faults = error.errors(include_url=False)
    fault = next((f for f in faults if f["type"] in UNKNOWN), faults[0])
    place = [str(part) for part in fault["loc"] if part != "[key]"]
    value, text = fault["input"], fault["msg"].partition(" ")[2]
    if fault["type"] == "invalid_key":  # YAML reads an unquoted n as false
        place[-1] = str(value)
    key = ".".join(place)
    if fault["type"] in UNKNOWN:
        close = difflib.get_close_matches(place[-1], known_keys(kind, place[:-1]), 1)
        return f"{key}: there is no such key" + (f", did you mean {close[0]}?" if close else "")
    if fault["type"] == "missing":
        return f"{key}: is missing"
    if fault["type"] == "value_error":  # the text of a section begins with the key
        start = "" if not key else f"{key}." if isinstance(value, dict) else f"{key}: "
        return f"{start}{fault['ctx']['error']}"
    return f"{key}: {value!r} {KINDS.get(fault['type'], text)}"


def known_keys(kind: type[BaseModel], place: Sequence[str]) -> list[str]:
    """The keys of the section at `place`; empty if its keys are chosen by the user."""
    names = iter(place)
    for name in names:
        section: Any = kind.model_fields[name].annotation if name in kind.model_fields else None
        if get_origin(section) is dict:
            section = get_args(section)[1] if next(names, None) else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
        kind = section
    return list(kind.model_fields)


def read_config(paths: Sequence[Path]) -> dict[str, Any]:
    """Read config files; later ones override earlier ones.

    Raises `InputError` naming a file that is not a YAML mapping or contains a number in another
    notation than plain decimals.
    """
    import yaml  # `nodulenet doctor` must run without it, to report that it is missing

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
            raise InputError(f"{path}: contains no keys")
        if fault:
            raise InputError(f"{path}: {fault}")
        config = overlay(config, content)
    return config


def _odd_number(text: str) -> str:
    """The first number of a YAML document that is not a plain decimal, with its line; or "".

    YAML 1.1 reads `1_0` as 10, `010` as 8, `1:30` as 90, and accepts `0x10`, `.inf` and `.nan`.
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
    """Merge `top` into `base` recursively."""
    merged = dict(base)
    for key, value in top.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if nested else value
    return merged
