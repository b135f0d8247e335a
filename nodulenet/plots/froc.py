"""FROC curves of several stages side by side."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from nodulenet.evaluation.froc import RATES
from nodulenet.evaluation.results import FrocFile, Summary, cpm_text, rate_text, read_froc
from nodulenet.files import InputError
from nodulenet.plots.style import BLUE, GREEN, VERMILION, caption, drawing

LOOKS = {
    "ensemble": (BLUE, "-"),
    "dfps": (VERMILION, "--"),
    "ncs": (GREEN, ":"),
    "submission": (BLUE, "-"),
    "against": (VERMILION, "--"),
}
PROTOCOLS = {
    "nodulenet": "protocol nodulenet (own consensus, scans with nodules)",
    "luna16": "protocol luna16 (challenge's rules, lists as given, all scans)",
}


def plot_froc(froc_jsons: Mapping[str, Path], output: Path) -> None:
    """Draw the FROC of each stage in a panel of its own, from its froc.json.

    froc_jsons: name of a stage -> its file, or that of `nodulenet froc`. The first result set of
    each has its 95 % interval as a band; CPM and interval are in the legend, the protocol below.
    Raises `InputError` naming a file that is no froc.json, and for files of different protocols.
    """
    frocs = {name: read_froc(path) for name, path in froc_jsons.items()}
    protocols = {froc.protocol for froc in frocs.values()}
    if len(protocols) != 1:
        names = ", ".join(map(str, froc_jsons.values()))
        raise InputError(f"{names}: protocols {sorted(protocols)} do not belong in one figure")
    with drawing(output, 1.0 + 3.3 * len(frocs), 3.9) as figure:
        panels = figure.subplots(1, len(frocs), sharey=True, squeeze=False)[0]
        for axes, (name, froc) in zip(panels, frocs.items(), strict=True):
            draw_stage(axes, name, froc)
        panels[0].set_ylabel("sensitivity")
        first = next(iter(frocs.values()))
        caption(figure, "false positives per scan", froc_caption(first))


def draw_stage(axes: Axes, name: str, froc: FrocFile) -> None:
    """Draw one stage's curves, the band of its first result set and the operating points."""
    for i, (part, summary) in enumerate(froc.shown.items()):
        draw_curve(axes, froc.files.get(part, part), summary, LOOKS[part], banded=i == 0)
    axes.set_title(name)
    scale_to_rates(axes)
    axes.set_xlim(0.118, 8.5)
    axes.legend(loc="best", title="CPM [95 % interval]", title_fontsize=8)


def draw_curve(
    axes: Axes, name: str, summary: Summary, look: tuple[str, str], banded: bool = True
) -> None:
    """Draw one FROC in a colour and line style, `banded` with its interval and operating points."""
    colour, line = look
    curve = {key: np.array(values, float) for key, values in summary.curve.items()}
    label = f"{name}  {cpm_text(summary.cpm, summary.interval)}"
    axes.plot(curve["rate"], curve["sensitivity"], line, color=colour, label=label)
    if banded:
        band = (curve["rate"], curve["low"], curve["high"])
        axes.fill_between(*band, color=colour, alpha=0.15, linewidth=0)
        points = np.array(summary.sensitivity, float)
        axes.plot(RATES, points, "o", color=colour, markersize=3.5)


def scale_to_rates(axes: Axes) -> None:
    """Scale axes to false positives per scan and sensitivity, with a tick at each rate."""
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(RATES, [rate_text(rate) for rate in RATES])


def froc_caption(froc: FrocFile) -> str:
    """Protocol and numbers that the figure rests on."""
    summary = next(iter(froc.shown.values()))
    listed = "" if froc.listed is None else f" of {froc.listed} listed"
    text = f"{PROTOCOLS[froc.protocol]}: {summary.scans}{listed} scans"
    text += f", {summary.nodules} nodules"
    if froc.scans_left_out:
        text += f"; {froc.scans_left_out} bad scans left out"
    if froc.difference:
        text += f"; difference of the CPMs {cpm_text(*froc.difference)}"
    return f"{text}; band: 95 % bootstrap interval over scans" if froc.bootstrap else text
