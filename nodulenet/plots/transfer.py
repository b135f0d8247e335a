"""The scores of one stage on the cohort it was trained on and on another, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from nodulenet.evaluation.results import FrocFile, read_froc
from nodulenet.evaluation.subgroups import SIZES, UNKNOWN
from nodulenet.evaluation.tables import read_scores
from nodulenet.evaluation.transfer import calibration_error
from nodulenet.plots.froc import draw_curve, scale_to_rates
from nodulenet.plots.style import BLUE, GREY, VERMILION, caption, drawing

LOOKS = ((BLUE, "-"), (VERMILION, "--"))


def plot_transfer(
    names: tuple[str, str], frocs: tuple[Path, Path], tables: Path, output: Path
) -> None:
    """Draw the FROC, the reliability and the sensitivity by size of two cohorts.

    names: of the training cohort and of the other one; frocs: their froc.json; tables: the folder
    of groups.csv and reliability.csv. Raises `CorruptArtefact` naming a damaged file.
    """
    both = [read_froc(path) for path in frocs]
    groups = read_scores(tables / "groups.csv", ("cohort", "by", "group", "sensitivity_at_1"))
    bins = read_scores(tables / "reliability.csv", ("cohort", "mean_probability", "share_hit"))
    with drawing(output, 11, 3.9) as figure:
        curves, reliable, sizes = figure.subplots(1, 3)
        draw_curves(curves, names, both)
        draw_reliability(reliable, names, bins)
        draw_sizes(sizes, names, groups[groups["by"] == "size"])
        scans = "; ".join(
            f"{name}: {froc.headline.scans} scans, {froc.headline.nodules} nodules,"
            f" protocol {froc.protocol}"
            for name, froc in zip(names, both, strict=True)
        )
        caption(figure, scans)


def draw_curves(axes: Axes, names: Sequence[str], frocs: Sequence[FrocFile]) -> None:
    """Draw the FROC of each cohort with its interval."""
    for name, froc, look in zip(names, frocs, LOOKS, strict=True):
        draw_curve(axes, name, froc.headline, look)
    scale_to_rates(axes)
    axes.set_xlim(0.118, 8.5)
    axes.set_xlabel("false positives per scan")
    axes.set_ylabel("sensitivity")
    axes.set_title("FROC")
    axes.legend(loc="best", title="CPM [95 % interval]", title_fontsize=8)


def draw_reliability(axes: Axes, names: Sequence[str], bins: pd.DataFrame) -> None:
    """Draw the share of nodules among the marks of each bin against their mean probability."""
    axes.plot([0, 1], [0, 1], ":", color=GREY, linewidth=1)
    for name, (colour, line) in zip(names, LOOKS, strict=True):
        own = bins[bins["cohort"] == name]
        label = f"{name}  error {calibration_error(own):.3f}"
        filled = own[own["marks"] > 0]
        points = filled["mean_probability"], filled["share_hit"]
        axes.plot(*points, line, marker="o", markersize=3.5, color=colour, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("probability of a mark")
    axes.set_ylabel("share that are nodules")
    axes.set_title("calibration")
    axes.legend(loc="upper left")


def draw_sizes(axes: Axes, names: Sequence[str], groups: pd.DataFrame) -> None:
    """Draw the sensitivity at 1 false positive per scan of each size with its interval."""
    present = [size for size in (*SIZES, UNKNOWN) if (groups["group"] == size).any()]
    for place, (name, (colour, _)) in enumerate(zip(names, LOOKS, strict=True)):
        own = groups[groups["cohort"] == name].set_index("group").reindex(present)
        at = np.arange(len(present)) + 0.15 * (2 * place - 1)
        value = own["sensitivity_at_1"].to_numpy(float)
        ends = np.array([value - own["low"], own["high"] - value])
        axes.errorbar(at, value, ends, fmt="o", markersize=3.5, color=colour, label=name)
        for x, y, count in zip(at, value, own["nodules"], strict=True):
            if count > 0:
                axes.annotate(f"{count:.0f}", (x, y), (4, 0), textcoords="offset points", size=7)
    axes.set_xticks(range(len(present)), [size.replace(" to ", "-") for size in present], size=7)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("sensitivity at 1 false positive per scan")
    axes.set_title("by size, with the number of nodules")
    axes.legend(loc="lower right")
