"""Losses and learning rate over the stages of one fold."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nodulenet.files import InputError, own_artefact
from nodulenet.plots.style import CYCLE, drawing

TITLES = {
    "loss": "total loss",
    "ncs_class": "NCS class loss",
    "ncs_box": "NCS box loss",
    "dfps_class": "DFPS class loss",
    "dfps_box": "DFPS box loss",
    "sr": "SR loss",
    "lr": "learning rate",
}
FEW_EPOCHS = 6
COLUMNS_OF_PANELS = 4


def plot_training(histories: Mapping[str, Path], output: Path) -> None:
    """Draw a panel a loss and one for the learning rate; a stage is a line over its epochs.

    histories: name of a stage -> its history.csv, in which epochs count from the first ancestor.
    Raises `InputError` naming a file that is no history.
    """
    tables = {name: read_history(Path(path)) for name, path in histories.items()}
    shown = [column for column in TITLES if any(t[column].notna().any() for t in tables.values())]
    rows = -(-(len(shown) + 1) // COLUMNS_OF_PANELS)
    with drawing(Path(output), 10, 2.5 * rows) as figure:
        panels = figure.subplots(rows, COLUMNS_OF_PANELS, sharex=True, squeeze=False).ravel()
        for axes, column in zip(panels, shown, strict=False):
            draw_column(axes, column, tables)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        handles, labels = panels[shown.index("lr")].get_legend_handles_labels()
        panels[len(shown)].legend(handles, labels, loc="center left", title="stage")
        figure.supxlabel("epoch, counted from the first stage", fontsize=9)


def read_history(path: Path) -> pd.DataFrame:
    """Read history.csv. Raises `CorruptArtefact` if it is missing or none."""
    with own_artefact(path):
        table = pd.read_csv(path)
        missing = [column for column in ("epoch", *TITLES) if column not in table]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}")
        return table


def draw_column(axes: Axes, column: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Draw one column of every stage that has it."""
    for i, (name, table) in enumerate(tables.items()):
        marker = "." if len(table) <= FEW_EPOCHS else ""
        colour = CYCLE[i % len(CYCLE)]
        if table[column].notna().any():
            axes.plot(
                table["epoch"], table[column], color=colour, marker=marker, label=name, lw=1.2
            )
    axes.set_title(TITLES[column])
    axes.tick_params(labelbottom=True)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if column == "lr":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
