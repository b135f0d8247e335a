"""CPM of the evaluated stages, and what each gains over the reference."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from nodulenet.evaluation.tables import read_scores
from nodulenet.files import CorruptArtefact
from nodulenet.plots.style import BLUE, GREY, caption, drawing

COLUMNS = (
    *("stage", "cpm", "cpm_low", "cpm_high", "reference"),
    *("difference", "difference_low", "difference_high"),
    *("protocol", "denominator", "scans", "nodules", "dice_found", "dice_all"),
)


def plot_ablation(table: Path, output: Path) -> None:
    """Draw ablation.csv: CPM with 95 % interval, and the paired difference to the reference.

    A single stage has no difference and so no second panel.
    Raises `InputError` naming a file that is no ablation.csv.
    """
    rows = read_ablation(table)
    with drawing(output, 8.2, 1.5 + 0.45 * len(rows)) as figure:
        panels = figure.subplots(1, min(2, len(rows)), sharey=True, squeeze=False)[0]
        left = panels[0]
        draw_scores(left, rows, "cpm")
        left.set_yticks(range(len(rows)), [label(row) for row in rows.to_dict("records")])
        left.set_ylim(len(rows) - 0.5, -0.5)
        left.set_xlabel("CPM")
        for right in panels[1:]:
            draw_scores(right, rows, "difference")
            right.axvline(0, color=GREY, linewidth=1)
            right.set_xlabel(f"CPM less that of {rows['reference'].iloc[0]}")
        caption(figure, ablation_caption(rows))


def read_ablation(path: Path) -> pd.DataFrame:
    """Read ablation.csv. Raises `CorruptArtefact` if it is missing or none."""
    table = read_scores(path, COLUMNS)
    if table.empty:
        raise CorruptArtefact(f"{path}: no row", path)
    return table


def draw_scores(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """Draw one number per stage with its interval, the value beside it."""
    for place, row in enumerate(rows.to_dict("records")):
        value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
        if np.isnan(value):
            continue
        axes.plot([low, high], [place, place], color=BLUE, linewidth=1.6)
        axes.plot([value], [place], "o", color=BLUE, markersize=5)
        text = f"{value:+.3f}" if name == "difference" else f"{value:.3f}"
        axes.annotate(
            text, (value, place), (0, 6), textcoords="offset points", ha="center", fontsize=8
        )
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")


def label(row: dict[Hashable, Any]) -> str:
    """A stage's name, with its Dice where it has masks."""
    if np.isnan(row["dice_found"]):
        return str(row["stage"])
    return f"{row['stage']}\nDice {row['dice_found']:.3f} found, {row['dice_all']:.3f} all"


def ablation_caption(rows: pd.DataFrame) -> str:
    """Protocol and numbers that the figure rests on."""
    row = rows.iloc[0]
    text = f"protocol {row['protocol']}: {row['scans']} scans ({row['denominator']}),"
    text += f" {row['nodules']} nodules, set ensemble"
    if rows["cpm_low"].isna().all():
        return text
    text += "; bars: 95 % bootstrap interval over scans"
    return f"{text}, of the differences paired" if len(rows) > 1 else text
