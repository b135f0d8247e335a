"""Config files, merged as Snakemake merges them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodulenet.files import InputError


def read_config(paths: Sequence[Path], sections: Sequence[str] = ()) -> dict[str, Any]:
    """Read config files, later ones over earlier ones.

    Raises `InputError` naming a file that is no table of YAML, or one of `sections` that all lack.
    """
    import yaml  # `nodulenet doctor` runs without it, to say that it is missing

    config: dict[str, Any] = {}
    for path in paths:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        except (ValueError, yaml.YAMLError) as error:
            raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise InputError(f"{path}: holds no keys")
        config = overlay(config, content)
    for name in sections:
        if not isinstance(config.get(name), dict):
            raise InputError(f"{paths[-1]}: there is no section {name} in {len(paths)} files")
    return config


def overlay(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`top` over `base`, mapping by mapping."""
    merged = dict(base)
    for key, value in top.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if nested else value
    return merged
