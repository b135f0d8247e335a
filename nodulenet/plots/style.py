"""The look that all figures share, and how they are written.

Figures are made without pyplot: no window, no state between them. Colours are those of Okabe and
Ito (Color universal design, 2008), distinguishable with any colour vision.
"""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nodulenet.files import replacing

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY, BLACK = "#CC79A7", "#56B4E9", "#8A8A8A", "#000000"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DOTS_PER_INCH = 200
LETTERS_PER_INCH = 14
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    # The same input gives the same file to the byte.
    "svg.hashsalt": "nodulenet",
}


@contextmanager
def drawing(output: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of `width` x `height` inches; write it at the end in the suffix's format."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        metadata: dict[str, Any] = {"Date": None} if output.suffix == ".svg" else {}
        with replacing(output) as temporary:
            figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata=metadata)


def caption(figure: Figure, *texts: str) -> None:
    """Write texts below a figure, each on lines of its own that the figure's width holds."""
    letters = int(LETTERS_PER_INCH * figure.get_figwidth())
    lines = [line for text in texts for line in textwrap.wrap(text, letters)]
    figure.supxlabel("\n".join(lines), fontsize=8.5)


def note(axes: Axes, text: str) -> None:
    """Write a remark into axes that have nothing to show."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=GREY)
