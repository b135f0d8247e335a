"""Draw the network and the stages of its training: `python docs/network.py`.

Writes docs/images/network.svg and docs/images/stages.svg. The sizes in the first are those of the
tensors in `NoduleNet`, traced on torch's `meta` device, where nothing is computed; the second is
drawn from the published settings. A test compares the figures' text with both.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from nodulenet.boxes.anchors import ANCHOR_SIDES, STRIDE
from nodulenet.boxes.roi import ROI_SIDE
from nodulenet.model import NoduleNet
from nodulenet.model.roi_pool import CropGroup
from nodulenet.plots.style import BLUE, GREEN, GREY, PURPLE, VERMILION, drawing
from nodulenet.settings import TrainSettings
from nodulenet.training.stages import DECAY_AT, resolve_stage

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SIDE, CROP = 128, 24
WIDTH, HEIGHT, LINE = 2.15, 0.74, 0.22
# Name -> column, row and colour of a box; the image is at the top, 1/16 of it at the bottom.
PLACES = {
    "image": (0, 0, GREY),
    "enc1": (0, -1, BLUE),
    "enc2": (0, -2, BLUE),
    "enc3": (0, -3, BLUE),
    "enc4": (0, -4, BLUE),
    "dec3": (2.9, -3, BLUE),
    "dec2": (2.9, -2, BLUE),
    "DFPS": (-2.9, -2, GREEN),
    "NCS": (5.8, -3, VERMILION),
    "SR 1/4": (5.8, -2, PURPLE),
    "SR 1/2": (5.8, -1, PURPLE),
    "SR 1/1": (5.8, 0, PURPLE),
}
ARROWS = (
    ("image", "enc1"),
    ("enc1", "enc2"),
    ("enc2", "enc3"),
    ("enc3", "enc4"),
    ("enc4", "dec3"),
    ("enc3", "dec3"),
    ("dec3", "dec2"),
    ("enc2", "dec2"),
    ("enc2", "DFPS"),
    ("dec2", "NCS"),
    ("dec2", "SR 1/4"),
    ("SR 1/4", "SR 1/2"),
    ("enc1", "SR 1/2"),
    ("SR 1/2", "SR 1/1"),
    ("image", "SR 1/1"),
)


def main() -> None:
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        draw_network(labels(trace()), IMAGES / "network.svg")
        draw_stages(TrainSettings(), IMAGES / "stages.svg")


def trace() -> dict[str, Tensor]:
    """The output of each part of the published network for an image of SIDE and a crop of CROP."""
    with torch.device("meta"):
        net = NoduleNet().eval()
        image = torch.empty(1, 1, SIDE, SIDE, SIDE)
        first = net.dfps.body[0]
        assert isinstance(first, nn.Linear)
        pooled = torch.empty(1, first.in_features // ROI_SIDE**3, *3 * (ROI_SIDE,))
    seen = {"image": image, "DFPS": pooled}
    parts = {name: getattr(net.backbone, name) for name in PLACES if hasattr(net.backbone, name)}
    parts |= {"SR 1/2": net.sr.at_half, "SR 1/1": net.sr.at_full[1]}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    features, seen["logits"], seen["deltas"] = net(image)
    seen["class"], _ = net.dfps(pooled)
    within = slice(CROP // STRIDE)
    seen["SR 1/4"] = features.dec2[:, :, within, within, within]
    (seen["mask"],) = net.sr(features, [CropGroup((CROP,) * 3, np.zeros((1, 4), np.int64))])
    return seen


def labels(seen: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """The lines of text in each box of the figure."""
    lines = {name: [name, size(seen[name])] for name in PLACES if name in seen}
    places = seen["logits"].shape[1] // len(ANCHOR_SIDES)
    sides = ", ".join(f"{side:g}" for side in ANCHOR_SIDES)
    anchors = f"{places:,} places x {len(ANCHOR_SIDES)} anchors"
    lines["NCS"] = ["NCS: candidates", anchors, f"sides {sides}"]
    classes = seen["class"].shape[1]
    lines["DFPS"] = ["DFPS: false positives", f"RoI {size(seen['DFPS'])}", f"{classes} classes"]
    lines["SR 1/4"] = ["SR: crop of dec2", size(seen["SR 1/4"])]
    lines["SR 1/2"] = ["doubled, with enc1", size(seen["SR 1/2"])]
    last = f"{size(seen['SR 1/1'])}, mask {seen['mask'].shape[1]}³"
    lines["SR 1/1"] = ["doubled, with image", last]
    return lines


def size(tensor: Tensor) -> str:
    """Channels and side of a cubic tensor (1, C, s, s, s), as `64 x 32³`."""
    channels, side = tensor.shape[1:3]
    return f"{channels} x {side}³"


def draw_network(lines: Mapping[str, list[str]], output: Path) -> None:
    """The boxes of PLACES with their lines, and the arrows between them."""
    with drawing(output, 9.4, 4.9) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_xlim(-4.1, 7.0)
        axes.set_ylim(-4.5, 0.5)
        for start, end in ARROWS:
            draw_arrow(axes, start, end)
        for name, (x, y, colour) in PLACES.items():
            look: Any = {"facecolor": "white", "edgecolor": colour, "linewidth": 1.6}
            corner = (x - WIDTH / 2, y - HEIGHT / 2)
            axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0", **look))
            top = y + LINE * (len(lines[name]) - 1) / 2
            for number, line in enumerate(lines[name]):
                axes.text(x, top - LINE * number, line, ha="center", va="center", fontsize=8.5)


def draw_arrow(axes: Axes, start: str, end: str) -> None:
    """An arrow between the edges of two boxes."""
    (x0, y0, _), (x1, y1, _) = PLACES[start], PLACES[end]
    side = np.sign(x1 - x0) * WIDTH / 2
    rise = 0 if side else np.sign(y1 - y0) * HEIGHT / 2
    look = {"arrowstyle": "-|>", "color": "#444444", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x1 - side, y1 - rise), (x0 + side, y0 + rise), arrowprops=look)


def stage_lines(train: TrainSettings) -> dict[str, str]:
    """The label of each stage in the figure."""
    return {
        name: f"{name}: {', '.join(stage.branches)} ({stage.epochs} epochs)"
        for name, stage in train.stages.items()
    }


def draw_stages(train: TrainSettings, output: Path) -> None:
    """One bar per stage over the epochs from the first ancestor on, and the drops of the rate."""
    with drawing(output, 8.2, 2.7) as figure:
        axes = figure.subplots()
        rows = {name: -row for row, name in enumerate(train.stages)}
        for name, text in stage_lines(train).items():
            stage = resolve_stage(train, name)
            axes.barh(rows[name], stage.epochs, 0.62, stage.before, color=BLUE, alpha=0.25)
            if after := train.stages[name].after:
                x = [stage.before, stage.before]
                axes.plot(x, [rows[after] - 0.31, rows[name]], color="#444444", linewidth=1)
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            at = stage.before + 2
            axes.text(at, rows[name], text, va="center", fontsize=8, bbox=paper, zorder=4)
        for fraction in DECAY_AT:
            axes.axvline(fraction * stage.total, color=VERMILION, linewidth=1, linestyle="--")
        axes.set_yticks([])
        axes.grid(False)
        axes.set_xlabel(
            "epochs from the first stage on; dashed: the learning rate falls to a tenth"
        )


if __name__ == "__main__":
    main()
