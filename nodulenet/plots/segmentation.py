"""How the Dice of the nodules is spread."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nodulenet.evaluation.comparison import between_readers
from nodulenet.evaluation.segmentation import read_segmentation
from nodulenet.plots.style import BLACK, BLUE, GREY, VERMILION, caption, drawing, note

MISSED_AT = -0.18
BINS = np.linspace(0, 1, 21).tolist()


def plot_segmentation(csvs: Mapping[str, Path], readers: Path, output: Path) -> None:
    """Draw the histogram of Dice of every stage that segments, missed nodules beside it.

    csvs: name of a stage -> its segmentation.csv. Stages without a row have no masks and are
    named in the figure. readers: reader_pairs.json, whose mean Dice of one reader against another
    is the bar. Raises `InputError` naming a file that is none of these.
    """
    tables = {name: read_segmentation(path) for name, path in csvs.items()}
    bar, _ = between_readers(readers)
    shown = {name: table for name, table in tables.items() if len(table)}
    without = [name for name in tables if name not in shown]
    count = max(len(shown), 1)
    with drawing(output, 1 + 3.3 * count, 3.4) as figure:
        panels = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for axes, (name, table) in zip(panels, shown.items(), strict=False):
            draw_histogram(axes, name, table, bar)
        if shown:
            panels[0].set_ylabel("nodules")
        else:
            note(panels[0], "no stage has masks")
        text = "Dice in the grid of the preprocessed volume"
        caption(figure, f"{text}; without masks: {', '.join(without)}" if without else text)


def draw_histogram(axes: Axes, name: str, table: pd.DataFrame, bar: float | None) -> None:
    """Draw one stage: Dice of the found nodules, the number missed left of 0, the readers' bar."""
    found = table.loc[table["found"] == 1, "dice"]
    missed = len(table) - len(found)
    axes.hist(found, BINS, color=BLUE, edgecolor="white", linewidth=0.5)
    axes.bar(MISSED_AT, missed, 0.06, color=GREY)
    axes.annotate(str(missed), (MISSED_AT, missed), ha="center", va="bottom", fontsize=8)
    means = (
        (f"{len(found)} found", found, BLUE, "--"),
        (f"all {len(table)}, missed as 0", table["dice"], BLACK, ":"),
    )
    for part, dice, colour, line in means:
        if len(dice):
            label = f"mean of {part}: {dice.mean():.3f}"
            axes.axvline(dice.mean(), color=colour, linestyle=line, linewidth=1.3, label=label)
    if bar is not None:
        axes.axvline(bar, color=VERMILION, linewidth=1.3, label=f"reader against reader: {bar:.3f}")
    axes.legend(loc="upper left")
    axes.set_title(name)
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])
    axes.set_xticks([MISSED_AT, 0, 0.25, 0.5, 0.75, 1], ["missed", "0", "", "0.5", "", "1"])
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.grid(visible=False, axis="x")
