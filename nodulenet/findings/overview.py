"""overview.png: the lungs with the findings marked, and views of each."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from nodulenet.findings.cuts import PLANES, Cut, View, cut_block, grey, three_cuts
from nodulenet.findings.measure import Finding
from nodulenet.plots.style import ORANGE, SKY, drawing

MOST_STRIPS = 12
PROJECTION_WINDOW = (-1000.0, 300.0)
OUTLINED = effects.withStroke(linewidth=2, foreground="black")
SCALE_MM = 10


def plot_overview(series_uid: str, findings: Sequence[Finding], view: View, output: Path) -> None:
    """Draw the findings of a scan.

    Above: the frontal maximum intensity projection of the lungs, and the coronal slice through the
    first finding in the lung window. Below: a strip of views for each of the first 12.
    """
    shown = list(findings)[:MOST_STRIPS]
    height = 4.6
    rows = [height, *([0.5 + 2.1 * len(shown)] if shown else [])]
    with drawing(output, 10, sum(rows)) as figure:
        parts = figure.subfigures(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0]
        draw_whole(parts[0], findings, view)
        more = f", the first {len(shown)} below" if len(shown) < len(findings) else ""
        title = f"{series_uid}\n{count_text(len(findings))}{more}; for research, not for diagnosis"
        parts[0].suptitle(title, fontsize=9)
        if shown:
            draw_strips(parts[1], shown, view)


def count_text(count: int) -> str:
    return "1 finding" if count == 1 else f"{count or 'no'} findings"


def draw_whole(figure: SubFigure, findings: Sequence[Finding], view: View) -> None:
    """The projection and the slice side by side, with every finding marked in both."""
    scan, lungs = view.scan, view.lungs
    projection, section = figure.subplots(1, 2)
    highest = np.full((scan.array.shape[0], scan.array.shape[2]), PROJECTION_WINDOW[0], np.float32)
    for z, plane in enumerate(scan.array):
        inside = np.where(lungs[z] > 0, plane, PROJECTION_WINDOW[0])
        highest[z] = inside.max(axis=0)
    inside_y = np.flatnonzero((lungs > 0).any(axis=(0, 2)))
    at = round(scan.to_voxel(findings[0].position)[1]) if findings else int(np.median(inside_y))
    at = int(np.clip(at, 0, scan.array.shape[1] - 1))
    show(projection, grey(highest, PROJECTION_WINDOW), scan.spacing[0], scan.spacing[2])
    projection.set_title("lungs from the front, maximum")
    show(section, grey(scan.array[:, at]), scan.spacing[0], scan.spacing[2])
    where = "through finding 1" if findings else "through the middle"
    section.set_title(f"coronal slice {where}, lung window")
    for finding in findings:
        z, y, x = scan.to_voxel(finding.position) * scan.spacing
        near = abs(y - at * scan.spacing[1]) <= finding.diameter_mm / 2
        mark(projection, finding, x, z, solid=True)
        mark(section, finding, x, z, solid=bool(near))


def show(axes: Axes, image: NDArray[np.uint8], tall: float, wide: float) -> None:
    """Draw a plane (rows upwards) in mm; the centre of pixel i is at i times its size."""
    rows, columns = image.shape
    extent = (-wide / 2, (columns - 0.5) * wide, -tall / 2, (rows - 0.5) * tall)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, origin="lower", extent=extent)
    axes.set_axis_off()


def mark(axes: Axes, finding: Finding, x: float, z: float, *, solid: bool) -> None:
    """A circle, dotted where the finding lies before or behind the plane; numbered if it has a
    strip below, since hundreds of numbers would hide the picture.
    """
    radius = max(6.0, 0.8 * finding.diameter_mm)
    style = "-" if solid else ":"
    axes.add_patch(Circle((x, z), radius, fill=False, ec=ORANGE, lw=1.2, ls=style))
    if finding.number > MOST_STRIPS:
        return
    number = axes.text(x + 0.8 * radius, z + 0.8 * radius, str(finding.number), color=ORANGE)
    number.set(fontsize=8, path_effects=[OUTLINED], clip_on=True)


def draw_strips(figure: SubFigure, findings: Sequence[Finding], view: View) -> None:
    """One row per finding: its description, and three views with its outline."""
    panels = figure.subplots(len(findings), 4, squeeze=False)
    for line, finding in zip(panels, findings, strict=True):
        line[0].set_axis_off()
        line[0].text(0.02, 0.5, strip_text(finding), va="center", transform=line[0].transAxes)
        cuts = three_cuts(cut_block(finding, view))
        for axes, name, cut in zip(line[1:], PLANES, cuts, strict=True):
            draw_outlined_cut(axes, cut, name)


def strip_text(finding: Finding) -> str:
    """A few lines about a finding."""
    lines = [f"finding {finding.number}", f"probability {finding.probability:.2f}"]
    lines.append(f"diameter {finding.diameter_mm:.1f} mm")
    if finding.volume_mm3 is not None:
        lines.append(f"volume {finding.volume_mm3:.0f} mm³")
        lines.append(f"mean {finding.mean_hu:.0f} HU")
    lines.append("x {:.1f}  y {:.1f}  z {:.1f} mm".format(*finding.position))
    return "\n".join(lines)


def draw_outlined_cut(axes: Axes, cut: Cut, name: str) -> None:
    """One cut with the outline of the mask and a bar of 10 mm."""
    tall, wide = cut.spacing
    axes.imshow(cut.image, cmap="gray", vmin=0, vmax=255, aspect=tall / wide)
    if cut.mask.any():
        # Padded, so that an outline closes where the mask touches the border of the cut.
        at = [np.arange(-1, size + 1) for size in cut.mask.shape]
        edges = np.pad(cut.mask.astype(float), 1)
        axes.contour(at[1], at[0], edges, [0.5], colors=[SKY], linewidths=1)
    rows, columns = cut.image.shape
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    ends, bottom = (1, 1 + SCALE_MM / wide), rows - 1 - 2 / tall
    axes.plot(ends, (bottom, bottom), color="white", lw=2, path_effects=[OUTLINED])
    axes.set_axis_off()
    label = axes.text(0.03, 0.97, name, color="white", transform=axes.transAxes)
    label.set(fontsize=7, ha="left", va="top", path_effects=[OUTLINED])
