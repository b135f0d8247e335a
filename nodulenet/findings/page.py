"""report.html: one self-contained page of a scan's findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.files import replacing
from nodulenet.findings.cuts import Block, View, cut_block
from nodulenet.findings.measure import Finding
from nodulenet.findings.overview import count_text
from nodulenet.findings.table import Record, Row
from nodulenet.imaging.orientation import Turn
from nodulenet.pages import data_uri, png, render

RESEARCH = (
    "For research, not for diagnosis. The findings are the output of a computer program that is"
    " not a medical device; no decision about a patient may rest on them."
)
MOST_SLIDERS = 40
PIXELS_PER_MM = 6
FINE = 4  # pixels of the outline layer along one pixel of the scan
OUTLINE = (233, 180, 86, 255)  # style.SKY as blue, green, red, opaque
COLUMNS = {
    "finding": "no.",
    "probability": "probability",
    "diameter_mm": "diameter, mm",
    "long_axis_mm": "longest axis, mm",
    "volume_mm3": "volume, mm³",
    "mean_hu": "mean HU",
    "coordX": "x",
    "coordY": "y",
    "coordZ": "z",
    "slice": "slice",
    "instance_number": "instance",
}
DIGITS = {"probability": 3, "finding": 0, "slice": 0, "instance_number": 0, "volume_mm3": 0}


@dataclass(frozen=True)
class Slider:
    """The axial slices of a block on one strip, the outline on another; the strips as addresses.

    width, height: of one slice, pixels of the page. last: index of the last slice, start: of the
    first to be shown. first, by: number in the scan of slice 0 and how much the next one's differs
    (0, 0 where the scan has no axial slices); z, step: the same of its position in mm.
    """

    number: int
    probability: float
    image: str
    outline: str
    width: int
    height: int
    last: int
    start: int
    first: int
    by: int
    z: float
    step: float


def write_page(
    content: Record, findings: Sequence[Finding], view: View, overview: Path, output: Path
) -> None:
    """Write report.html from the content of findings.json, with one slider per finding.

    overview: the picture to embed.
    """
    count = len(content["findings"])
    shown = findings[:MOST_SLIDERS]
    page = render(
        "nodulenet.findings",
        "page",
        series=content["series_uid"],
        research=RESEARCH,
        summary=f"Series {content['series_uid']}: {count_text(count)}, {threshold_text(content)}.",
        columns=list(COLUMNS.values()),
        rows=[table_row(row) for row in content["findings"]],
        overview=data_uri(overview.read_bytes(), "png"),
        sliders_note=sliders_text(count, len(shown)),
        sliders=[slider(f, cut_block(f, view), view) for f in shown],
        facts=facts_of(content),
        notes=content["notes"] or ["none"],
    )
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def threshold_text(content: Record) -> str:
    threshold = content["threshold"]
    return f"probability of at least {threshold['probability']:.4g} ({threshold['source']})"


def sliders_text(count: int, shown: int) -> str:
    if not count:
        return "There is no finding to show."
    text = "Move the slider, or turn the wheel over a picture, to go through the axial slices."
    return text if shown == count else f"{text} The {shown} most probable findings are shown."


def table_row(row: Row) -> list[str]:
    """A row of the table; a dash where there is no value."""
    return [
        "-" if row[name] is None else f"{row[name]:.{DIGITS.get(name, 1)}f}" for name in COLUMNS
    ]


def slider(finding: Finding, block: Block, view: View) -> Slider:
    """The slices of a finding's block, with their numbers and positions in the scan."""
    scan = view.scan
    count, rows, columns = block.image.shape
    _, tall, wide = block.spacing * PIXELS_PER_MM
    first, by = slice_numbers(block.first[0], scan.array.shape[0], view.turn)
    return Slider(
        number=finding.number,
        probability=finding.probability,
        image=png(block.image.reshape(count * rows, columns)),
        outline=png(outline_strip(block.mask)),
        width=round(columns * wide),
        height=round(rows * tall),
        last=count - 1,
        start=block.centre[0],
        first=first,
        by=by,
        z=float(scan.to_world(np.add(block.first, (0, *block.centre[1:])))[2]),
        step=float(scan.affine[2, 0]),
    )


def slice_numbers(first: int, count: int, turn: Turn) -> tuple[int, int]:
    """The number, from 1, that an axial slice of the turned scan has in the scan itself, and by
    how much the next one's differs; (0, 0) where the scan's own slices are not axial.
    """
    order, flips = turn
    if order[0] != 0:
        return 0, 0
    return (count - first, -1) if 0 in flips else (first + 1, 1)


def outline_strip(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The outlines of a mask's slices (z, y, x) below each other, transparent elsewhere."""
    count, rows, columns = mask.shape
    strip = np.zeros((count * rows * FINE, columns * FINE, 4), np.uint8)
    for z in range(count):
        fine = np.kron(mask[z].astype(np.uint8), np.ones((FINE, FINE), np.uint8))
        edge = fine.astype(bool) & ~cv2.erode(fine, np.ones((3, 3), np.uint8)).astype(bool)
        strip[z * rows * FINE : (z + 1) * rows * FINE][edge] = OUTLINE
    return strip


def facts_of(content: Record) -> dict[str, str]:
    """The facts about the input, the networks and the settings."""
    return {
        "nodulenet": content["version"],
        "made": content["made"],
        "input": content["input"],
        "series": content["series_uid"],
        "patient": content["patient_id"] or "not named",
        "scan": "{} voxels (z, y, x) of {} mm".format(
            " x ".join(map(str, content["scan"]["shape"])),
            " x ".join(f"{step:.3g}" for step in content["scan"]["spacing_mm"]),
        ),
        **{
            f"weights {number}": "{name}, stage {stage}, fold {fold}, {epochs} epochs,"
            " SHA-256 {sha256}".format(**weights)
            for number, weights in enumerate(content["weights"], 1)
        },
        "preprocessing": pairs(content["preprocess"]),
        "lungs": content["lungs"],
        "prediction": pairs(content["inference"]),
        "threshold": threshold_text(content),
        "files": ", ".join(content["files"]),
    }


def pairs(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
