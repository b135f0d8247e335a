"""Time candidates in turn in one run and print them as one table."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUDGET = 10.0
"""Seconds that one candidate may take over all rounds of a row."""

SHORT = 0.01
"""Seconds of a call below which the caches' state weighs."""


@dataclass(frozen=True)
class Row:
    """One line of a table: the work and each candidate's median time in s, ours first."""

    work: str
    seconds: dict[str, float]


def time_in_turn(
    work: str,
    candidates: Mapping[str, Callable[[], Any]],
    repeats: int = 5,
    wait: Callable[[], Any] = lambda: None,
) -> Row:
    """Medians of `repeats` rounds, each of which calls every candidate once, after a warm-up.

    Taking turns exposes all candidates to the same changes of the machine's load. `wait` is called
    before each reading of the clock, such as the synchronisation of a GPU. A candidate that needs
    more than `BUDGET` for all rounds is left out from the third round on; one shorter than `SHORT`
    is called once more before the clock starts, to warm the caches.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    warm_up = {name: _seconds(call, wait) for name, call in candidates.items()}
    for round_ in range(repeats):
        for name, call in candidates.items():
            if round_ < 2 or sum(times[name]) + warm_up[name] < BUDGET:
                if warm_up[name] < SHORT:
                    call()
                times[name].append(_seconds(call, wait))
    return Row(work, {name: statistics.median(values) for name, values in times.items()})


def print_table(rows: Sequence[Row]) -> None:
    """Print `table`."""
    print("\n".join(table(rows)), flush=True)


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of Markdown: a column for ours and two for each peer, time and ratio.

    A ratio is the peer's time divided by ours: above 1, ours is faster.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.seconds))
    head = ["work", names[0], *(cell for name in names[1:] for cell in (name, "ratio"))]
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        ours = row.seconds[names[0]]
        cells = [row.work, _readable(ours)]
        for name in names[1:]:
            peer = row.seconds.get(name)
            cells += ["-", "-"] if peer is None else [_readable(peer), f"{peer / ours:.2f}"]
        yield "| " + " | ".join(cells) + " |"


def print_machine(packages: Sequence[str]) -> None:
    """Print `machine` and an empty line."""
    print(machine(packages), end="\n\n")


def machine(packages: Sequence[str]) -> str:
    """The machine of the measurements: processor, cores and versions."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    versions = ", ".join([f"Python {platform.python_version()}", *found])
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores; {versions}"


def _seconds(call: Callable[[], Any], wait: Callable[[], Any]) -> float:
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def _readable(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
