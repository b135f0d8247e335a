"""Time and memory of every job, from its benchmark and its log."""

import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import read_cells, to_numbers
from nodulenet.files import UID, InputError, replacing
from nodulenet.numerals import NUMBER

log = logging.getLogger(__name__)

BENCHMARKS = "benchmarks"
NUMBERS = ("seconds", "cpu_seconds", "peak_mb")
COLUMNS = ("rule", "series_uid", "part", *NUMBERS)
# What every job writes at the end of its log.
USED = re.compile(rb"job used ([0-9]+\.?[0-9]*) s of CPU(?: and ([0-9]+\.?[0-9]*) MB of memory)?")
TAIL_BYTES = 400


def gather_timings(logs: Path | str, scans: Collection[str]) -> pd.DataFrame:
    """One row per job with a benchmark below `logs`/benchmarks: its last successful run.

    `seconds` are wall time. `cpu_seconds` and `peak_mb` (resident memory, MiB) are the larger of
    what Snakemake sampled over all the job's processes and what the job itself counted at its end:
    samples miss the end of a job, up to 30 s of a long one. `series_uid` is empty except for jobs
    of one scan; `part` names the other jobs of a rule (`fold0_full`, a stage). Jobs of scans not in
    `scans` are left out with a note in the log; values that a damaged benchmark lacks are missing
    in its row. Deleted logs and benchmarks are no error: they are not results.
    """
    folder = Path(logs) / BENCHMARKS
    paths = sorted(folder.rglob("*.tsv"))
    rows = [timing(path, Path(logs)) for path in paths]
    if not rows:
        log.warning("%s: holds no benchmark of a job", folder)
    table = pd.DataFrame(rows, index=paths, columns=list(COLUMNS))
    known = table["series_uid"].isin({"", *scans})
    if not known.all():
        log.warning("%s: %d jobs of other scans left out", folder, (~known).sum())
    for name in table.index[table["seconds"].isna()]:
        log.warning("%s is damaged", name)
    return table[known].reset_index(drop=True)


def timing(path: Path, logs: Path) -> dict[str, Any]:
    """The row of one job, from its benchmark and the log of the same name."""
    name = str(path.relative_to(logs / BENCHMARKS))[: -len(path.suffix)]
    rule, _, job = name.partition("/")
    sampled = read_benchmark(path)
    cpu, peak = read_used(logs / f"{name}.log")
    of_scan = UID.fullmatch(job) is not None
    return {
        "rule": rule,
        "series_uid": job if of_scan else "",
        "part": "" if of_scan else job,
        "seconds": sampled.get("s"),
        "cpu_seconds": greater(sampled.get("cpu_time"), cpu),
        "peak_mb": greater(sampled.get("max_rss"), peak),
    }


def read_benchmark(path: Path) -> dict[str, float]:
    """The numbers of one of Snakemake's benchmarks, without those it could not measure."""
    head, row, *_ = [*path.read_text(errors="replace").splitlines(), "", ""]
    cells = dict(zip(head.split("\t"), row.split("\t"), strict=False))
    return {key: float(cell) for key, cell in cells.items() if NUMBER.fullmatch(cell)}


def read_used(path: Path) -> tuple[float | None, float | None]:
    """CPU seconds and peak memory in MiB at the end of a job's log; None if missing."""
    if not path.exists():
        return None, None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        found = USED.findall(file.read())
    cpu, peak = found[-1] if found else (b"", b"")
    return (float(cpu) if cpu else None), (float(peak) if peak else None)


def greater(a: float | None, b: float | None) -> float | None:
    """The larger of two numbers, either of which may be missing."""
    return max((value for value in (a, b) if value is not None), default=None)


def write_timings(table: pd.DataFrame, path: Path | str) -> None:
    """Write timings.tsv."""
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format="%.2f")


def read_timings(path: Path | str) -> pd.DataFrame:
    """Read timings.tsv; the numbers as float. Raises `InputError` naming the file and the fault."""
    table = read_cells(path, COLUMNS, "\t").reset_index(drop=True)
    for name in NUMBERS:
        numbers = to_numbers(table[name].tolist())
        for cell in table[name][np.isnan(numbers) & (table[name] != "")][:1]:
            raise InputError(f"{path}: {name} is not a number: {cell!r}")
        table[name] = numbers
    return table
