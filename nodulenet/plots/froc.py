"""FROC curves of several stages side by side."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from nodulenet.evaluation.summary import cpm_text
from nodulenet.files import InputError, own_artefact, read_json
from nodulenet.plots.style import BLUE, GREEN, VERMILION, drawing

RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
LETTERS_PER_INCH = 14
RATE_LABELS = ("1/8", "1/4", "1/2", "1", "2", "4", "8")
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
    each has its 95 % interval as a band; CPM and interval stand in the legend, the protocol below.
    Raises `InputError` naming a file that is no froc.json, and for files of different protocols.
    """
    contents = {name: read_froc(Path(path)) for name, path in froc_jsons.items()}
    protocols = {content["protocol"] for content in contents.values()}
    if len(protocols) != 1:
        names = ", ".join(map(str, froc_jsons.values()))
        raise InputError(f"{names}: protocols {sorted(protocols)} do not belong in one figure")
    width = 1.0 + 3.3 * len(contents)
    with drawing(Path(output), width, 3.9) as figure:
        panels = figure.subplots(1, len(contents), sharey=True, squeeze=False)[0]
        for axes, (name, content) in zip(panels, contents.items(), strict=True):
            draw_stage(axes, name, result_sets(content))
        panels[0].set_ylabel("sensitivity")
        lines = textwrap.wrap(caption(contents), int(LETTERS_PER_INCH * width))
        figure.supxlabel("\n".join(["false positives per scan", *lines]), fontsize=8.5)


def read_froc(path: Path) -> dict[str, Any]:
    """Read froc.json. Raises `CorruptArtefact` when it lacks what a figure needs."""
    content = read_json(path)
    with own_artefact(path):
        if content.get("protocol") not in PROTOCOLS:
            raise InputError(f"{path}: no froc.json: protocol is missing or unknown")
        for name, result in result_sets(content).items():
            missing = {"cpm", "interval", "curve", "nodules", "scans"} - set(result)
            if missing:
                raise InputError(f"{path}: result set {name} lacks {', '.join(sorted(missing))}")
    return content


def result_sets(content: Mapping[str, Any]) -> dict[str, Any]:
    """The result sets to draw; without a second branch the ensemble is the candidates' own."""
    files = {"submission": content, "against": content.get("against")}
    sets = content.get("sets", {name: result for name, result in files.items() if result})
    if "dfps" not in sets and "ensemble" in sets:
        return {"ncs": sets["ncs"]}
    return {name: sets[name] for name in LOOKS if name in sets}


def draw_stage(axes: Axes, name: str, sets: Mapping[str, Any]) -> None:
    """Draw one stage's curves, the band of its first result set and the operating points."""
    for i, (part, result) in enumerate(sets.items()):
        colour, line = LOOKS[part]
        curve = {key: [_number(v) for v in values] for key, values in result["curve"].items()}
        label = f"{result.get('predictions', part)}  {cpm_text(result)}"
        axes.plot(curve["rate"], curve["sensitivity"], line, color=colour, label=label)
        if i == 0:
            band = (curve["rate"], curve["low"], curve["high"])
            axes.fill_between(*band, color=colour, alpha=0.15, linewidth=0)
            points = [_number(value) for value in result["sensitivity"]]
            axes.plot(RATES, points, "o", color=colour, markersize=3.5)
    axes.set_title(name)
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.118, 8.5)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(FixedLocator(RATES))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(RATES, RATE_LABELS)
    axes.legend(loc="best", title="CPM [95 % interval]", title_fontsize=8)


def caption(contents: Mapping[str, Mapping[str, Any]]) -> str:
    """Protocol and numbers that the figure rests on."""
    first = next(iter(contents.values()))
    result = next(iter(result_sets(first).values()))
    listed = f" of {first['listed']} listed" if "listed" in first else ""
    text = f"{PROTOCOLS[first['protocol']]}: {result['scans']}{listed} scans"
    text += f", {result['nodules']} nodules"
    if first.get("scans_left_out"):
        text += f"; {first['scans_left_out']} bad scans left out"
    if "against" in first:
        text += f"; difference of the CPMs {cpm_text(first['against']['difference'])}"
    return f"{text}; band: 95 % bootstrap interval over scans" if first["bootstrap"] else text


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
