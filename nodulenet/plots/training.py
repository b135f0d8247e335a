"""Losses, CPM of the patients held out, live units and learning rate over a fold's stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nodulenet.evaluation.tables import read_scores
from nodulenet.plots.style import CYCLE, drawing

TITLES = {
    "loss": "total loss",
    "ncs_class": "NCS class loss",
    "ncs_box": "NCS box loss",
    "dfps_class": "DFPS class loss",
    "dfps_box": "DFPS box loss",
    "sr": "SR loss",
    "val_cpm": "CPM, patients held out",
    "dfps_live_1": "live units of DFPS",
    "lr": "learning rate",
}
HELD_OUT = "val_"
"""Start of the names of columns on the patients held out, which are drawn dashed."""

FEW_EPOCHS = 6
COLUMNS_OF_PANELS = 4


def plot_training(histories: Mapping[str, Path], output: Path) -> None:
    """Draw a panel per loss and per other column; a stage is a line over its epochs.

    A loss of the patients held out stands dashed beside that of the training. histories: name of a
    stage -> its history.csv, in which epochs count from the first ancestor. Raises `InputError`
    naming a file that is no history.
    """
    needed = ("epoch", *TITLES)
    tables = {name: read_scores(path, needed) for name, path in histories.items()}
    shown = [column for column in TITLES if any(t[column].notna().any() for t in tables.values())]
    rows = -(-len(shown) // COLUMNS_OF_PANELS)
    with drawing(output, 10, 2.5 * rows) as figure:
        panels = figure.subplots(rows, COLUMNS_OF_PANELS, sharex=True, squeeze=False).ravel()
        for axes, column in zip(panels, shown, strict=False):
            draw_column(axes, column, tables)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        handles, labels = panels[shown.index("lr")].get_legend_handles_labels()
        if any(held_out(t, column) for t in tables.values() for column in shown):
            handles = [*handles, Line2D([], [], color="grey", linestyle="--", lw=1.2)]
            labels = [*labels, "patients held out"]
        figure.legend(handles, labels, loc="outside right center", title="stage", fontsize=8)
        figure.supxlabel("epoch, counted from the first stage", fontsize=9)


def held_out(table: pd.DataFrame, column: str) -> bool:
    """Whether a history has the values of a column for the patients held out."""
    return HELD_OUT + column in table and bool(table[HELD_OUT + column].notna().any())


def draw_column(axes: Axes, column: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Draw one column of every stage that has it, dashed for the patients held out."""
    for i, (name, table) in enumerate(tables.items()):
        colour = CYCLE[i % len(CYCLE)]
        if table[column].notna().any():
            draw_line(axes, table, column, color=colour, label=name)
        if held_out(table, column):
            draw_line(axes, table, HELD_OUT + column, color=colour, linestyle="--")
    axes.set_title(TITLES[column])
    axes.tick_params(labelbottom=True)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if column == "lr":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def draw_line(axes: Axes, table: pd.DataFrame, column: str, **style: Any) -> None:
    """Draw a column over the epochs that have it, with a mark for each where they are few."""
    known = table[table[column].notna()]
    marker = "." if len(known) <= FEW_EPOCHS else ""
    axes.plot(known["epoch"], known[column], marker=marker, lw=1.2, **style)
