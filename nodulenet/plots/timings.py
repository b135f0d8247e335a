"""Where the time went: time and peak memory by rule and by scan."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from nodulenet.cohort.timings import read_timings
from nodulenet.plots.style import BLUE, CYCLE, GREY, ORANGE, drawing, note

POINTS_OF_CURVE = 201


def plot_timings(timings: Path, output: Path) -> None:
    """Draw the sums of time and the peaks of memory by rule, and what single scans took.

    timings: timings.tsv. Raises `InputError` naming it when it is none.
    """
    table = read_timings(timings)
    table = table[table["seconds"].notna()]
    of_scans = table[table["series_uid"] != ""]
    with drawing(output, 10, 2.6 + 2.6 + 0.15 * table["rule"].nunique()) as figure:
        (time, memory), (scan_time, scan_memory) = figure.subplots(2, 2)
        if table.empty:
            for axes in (time, memory, scan_time, scan_memory):
                note(axes, "no job has a benchmark")
            return
        draw_time(time, table)
        draw_memory(memory, table)
        draw_scans(scan_time, of_scans, "seconds", "s")
        draw_scans(scan_memory, of_scans, "peak_mb", "MiB")


def draw_time(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each rule's sums of wall and CPU seconds over its jobs, the longest rule on top."""
    sums = table.groupby("rule")[["seconds", "cpu_seconds"]].sum().sort_values("seconds")
    jobs = table["rule"].value_counts()
    axes.plot(sums["seconds"], range(len(sums)), "o", color=BLUE, mfc="none", label="wall")
    axes.plot(sums["cpu_seconds"], range(len(sums)), ".", color=ORANGE, label="CPU")
    axes.set_yticks(range(len(sums)), [f"{rule} ({jobs[rule]})" for rule in sums.index])
    axes.set_xscale("log")
    axes.set_xlabel("s")
    axes.legend(loc="lower right")
    total = sums.sum() / 3600
    axes.set_title(f"sum over jobs: {total.seconds:.3g} h wall, {total.cpu_seconds:.3g} h CPU")


def draw_memory(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each rule's median and greatest peak of memory, the greatest on top."""
    peaks = table.groupby("rule")["peak_mb"].agg(["median", "max"]).dropna().sort_values("max")
    rows = range(len(peaks))
    axes.hlines(rows, peaks["median"], peaks["max"], color=GREY, lw=1)
    axes.plot(peaks["median"], rows, ".", color=ORANGE, label="median job")
    axes.plot(peaks["max"], rows, "o", color=BLUE, mfc="none", label="greatest")
    axes.set_yticks(rows, peaks.index)
    axes.set_xlim(left=0)
    axes.set_xlabel("MiB")
    axes.legend(loc="lower right")
    axes.set_title("peak memory of a job")


def draw_scans(axes: Axes, table: pd.DataFrame, column: str, unit: str) -> None:
    """Draw a column of the jobs of single scans, sorted within each rule."""
    for number, (rule, jobs) in enumerate(table.groupby("rule")):
        values = jobs[column].dropna()
        if len(values):
            shares = np.linspace(0, 1, min(len(values), POINTS_OF_CURVE))
            label = f"{rule}: median {values.median():.3g}, most {values.max():.3g} {unit}"
            curve = np.quantile(values, shares)
            marker = "." if len(values) == 1 else ""
            axes.plot(
                100 * shares, curve, color=CYCLE[number % len(CYCLE)], marker=marker, label=label
            )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("% of scans")
    axes.set_ylabel(unit)
    axes.set_title("time of a scan" if column == "seconds" else "peak memory of a scan")
    if axes.lines:
        axes.legend(loc="best")
    else:
        note(axes, "no job of a single scan")
