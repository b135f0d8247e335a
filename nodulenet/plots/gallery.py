"""Pictures of nodules with the outlines of truth and prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.evaluation import StageFiles
from nodulenet.evaluation.segmentation import read_segmentation
from nodulenet.evaluation.truth import ScoredScan, read_cohort, read_findings, read_stage
from nodulenet.files import CorruptArtefact
from nodulenet.masks import read_masks
from nodulenet.plots.cases import Case, Place, choose, cut_case, cuts
from nodulenet.plots.style import ORANGE, SKY, drawing, note

PLANES = ("axial", "coronal", "sagittal")
HEADINGS = {"best": "best Dice", "worst": "worst Dice of those found", "missed": "missed"}
TRUTH, PREDICTION = SKY, ORANGE
SCALE_VOXELS = 10
OUTLINED = effects.withStroke(linewidth=2.5, foreground="black")


def plot_gallery(files: StageFiles, segmentation: Path, output: Path, count: int = 4) -> None:
    """Draw nodules of the held-out folds in axial, coronal and sagittal cuts of the 1 mm volume.

    `count` each of those found with the best and the worst Dice and of those missed. segmentation:
    the stage's segmentation.csv; p is the ensemble's probability. A stage without masks gets a
    picture that says so. Raises `InputError` naming the file and the fault.
    """
    groups = read_cases(files, segmentation, count)
    shown = {name: cases for name, cases in groups.items() if cases}
    rows = max((len(cases) for cases in shown.values()), default=1)
    with drawing(output, 5.2 * max(len(shown), 1), 0.9 + 2.15 * rows) as figure:
        if not shown:
            note(figure.subplots(), "this stage has no masks, or there is no nodule to show")
            return
        columns = figure.subfigures(1, len(shown), squeeze=False, wspace=0.03)[0]
        for column, (name, cases) in zip(columns, shown.items(), strict=True):
            column.suptitle(HEADINGS[name], fontsize=12, fontweight="bold")
            draw_group(column, cases, rows)
        add_legend(figure, 3 if len(shown) > 1 else 1)


def read_cases(files: StageFiles, segmentation: Path, count: int) -> dict[str, list[Case]]:
    """The cases of each group; none where the stage has no masks."""
    groups = choose(read_segmentation(segmentation), count)
    cohort = {scan.series_uid: scan for scan in read_cohort(files.manifest, files.folds)}
    table = read_stage(files.predictions, list(cohort.values()))
    cases = {}
    for name, rows in groups.items():
        own = [scan for uid, scan in cohort.items() if uid in set(rows["series_uid"])]
        findings = read_findings(own)
        cases[name] = [
            read_case(row, cohort[str(row.series_uid)], findings[str(row.series_uid)], table, files)
            for row in rows.itertuples()
        ]
    return cases


def read_case(
    nodule: Any,
    scan: ScoredScan,
    findings: pd.DataFrame,
    predictions: pd.DataFrame,
    files: StageFiles,
) -> Case:
    """The case of a row of segmentation.csv, with the mask and the probability of its detection.

    Raises `CorruptArtefact` naming a file of masks that lacks the row's.
    """
    own = findings[(findings["kind"] == "nodule") & (findings["label"] == nodule.label)]
    centre = own[list(POSITION)].to_numpy(float)[0]
    mask, found = None, "missed"
    if nodule.found:
        path = files.masks[scan.fold] / f"{scan.series_uid}.npz"
        mask = read_masks(path).get(nodule.row)
        if mask is None:
            raise CorruptArtefact(f"{path}: has no mask of row {nodule.row}", path.parent)
        here = (predictions["fold"] == scan.fold) & (predictions["row"] == nodule.row)
        probability = float(predictions.loc[here, "probability"].iloc[0])
        found = f"p {probability:.2f}  Dice {nodule.dice:.2f}"
    title = f"…{scan.series_uid[-10:]}  nodule {nodule.label}  {nodule.diameter_mm:.0f} mm\n{found}"
    place = Place(scan, centre, 0.9 * nodule.diameter_mm, nodule.label, mask)
    return cut_case(place, title)


def draw_group(figure: SubFigure, cases: Sequence[Case], rows: int) -> None:
    """Draw the cases below each other, three cuts in a row."""
    panels = figure.subplots(rows, 3, squeeze=False, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for i, line in enumerate(panels):
        for axes in line:
            axes.set_axis_off()
        if i >= len(cases):
            continue
        for axes, name, (image, truth, prediction) in zip(
            line, PLANES, cuts(cases[i]), strict=True
        ):
            draw_plane(axes, image, truth, prediction, name)
        line[1].set_title(cases[i].title, fontsize=8)


def draw_plane(axes: Axes, image: NDArray, truth: NDArray, prediction: NDArray, name: str) -> None:
    """Draw one cut: axial with the back below, the others with the head above; left is right."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for mask, colour, width in ((truth, TRUTH, 2.0), (prediction, PREDICTION, 1.0)):
        if mask.any():
            # Padded, so that an outline closes where the mask touches the border of the cut.
            edges = np.pad(mask.astype(float), 1)
            at = [np.arange(-1, size + 1) for size in mask.shape]
            axes.contour(at[1], at[0], edges, [0.5], colors=[colour], linewidths=width)
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim((image.shape[0] - 0.5, -0.5) if name == "axial" else (-0.5, image.shape[0] - 0.5))
    if name == "axial":
        bottom = image.shape[0] - 2.5
        ends = [1.5, 1.5 + SCALE_VOXELS]
        axes.plot(ends, [bottom, bottom], color="white", lw=2, path_effects=[OUTLINED])
    place: Any = {
        "transform": axes.transAxes,
        "ha": "left",
        "va": "top",
        "path_effects": [OUTLINED],
    }
    axes.text(0.03, 0.97, name, color="white", fontsize=7, **place)


def add_legend(figure: Figure, columns: int) -> None:
    """Say which outline is which, and how long the bar is."""
    handles = [
        Line2D([], [], color=TRUTH, label="radiologists' consensus"),
        Line2D([], [], color=PREDICTION, label="prediction"),
        Line2D([], [], color="none", label=f"bar: {SCALE_VOXELS} mm;  p: ensemble probability"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)
