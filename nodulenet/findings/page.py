"""report.html: one self-contained page of a scan's findings."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nodulenet.files import replacing
from nodulenet.findings.cuts import Block, cut_block
from nodulenet.findings.measure import Finding
from nodulenet.findings.overview import count_text
from nodulenet.imaging import Volume
from nodulenet.imaging.orientation import Turn

RESEARCH = (
    "For research, not for diagnosis. The findings are the output of a computer program that is"
    " not a medical device; no decision about a patient may rest on them."
)
MOST_SLIDERS = 40
PIXELS_PER_MM = 6
FINE = 4  # pixels of the outline's layer along a pixel of the scan
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


def write_page(
    content: Mapping[str, Any],
    findings: Sequence[Finding],
    scan: Volume,
    labels: NDArray[np.uint16],
    turn: Turn,
    overview: Path,
    output: Path,
) -> None:
    """Write report.html from the content of findings.json, with a slider a finding.

    scan (HU) and labels: turned as `standard` does, by `turn`. overview: the picture to hold.
    """
    count = len(content["findings"])
    summary = f"Series {content['series_uid']}: {count_text(count)}, {threshold_text(content)}."
    shown = findings[:MOST_SLIDERS]
    cells = "".join(f"<th>{escape(title)}</th>" for title in COLUMNS.values())
    page = Template((files("nodulenet.findings") / "page.html").read_text()).substitute(
        series=escape(content["series_uid"]),
        research=escape(RESEARCH),
        summary=escape(summary),
        columns=cells,
        rows="\n".join(map(table_row, content["findings"])),
        overview=base64.b64encode(overview.read_bytes()).decode(),
        sliders_note=escape(sliders_text(count, len(shown))),
        sliders="\n".join(slider(f, cut_block(f, scan, labels), scan, turn) for f in shown),
        facts="\n".join(fact_rows(content)),
        notes="\n".join(f"<li>{escape(note)}</li>" for note in content["notes"] or ["none"]),
    )
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def threshold_text(content: Mapping[str, Any]) -> str:
    threshold = content["threshold"]
    return f"probability of at least {threshold['probability']:.4g} ({threshold['source']})"


def sliders_text(count: int, shown: int) -> str:
    if not count:
        return "There is no finding to show."
    text = "Move the slider, or turn the wheel over a picture, to go through the axial slices."
    return text if shown == count else f"{text} The {shown} most probable findings are shown."


def table_row(row: Mapping[str, Any]) -> str:
    """A row of the table; a dash where there is no value."""
    texts = [
        "-" if row[name] is None else f"{row[name]:.{DIGITS.get(name, 1)}f}" for name in COLUMNS
    ]
    return "<tr>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>"


def slider(finding: Finding, block: Block, scan: Volume, turn: Turn) -> str:
    """A figure with the axial slices of a block on one strip, and the outline on another."""
    count, rows, columns = block.image.shape
    _, tall, wide = block.spacing * PIXELS_PER_MM
    start = block.centre[0]
    size = f"width:{columns * wide:.0f}px;height:{rows * tall:.0f}px"
    z = scan.to_world(np.add(block.first, (0, *block.centre[1:])))[2]
    number, by = slice_numbers(block.first[0], scan.array.shape[0], turn)
    counting = f'data-number="{number}" data-by="{by}"'
    layers = "".join(
        f'<div class="{name}" style="background-image:url(data:image/png;base64,{data})"></div>'
        for name, data in (
            ("image", png(block.image.reshape(count * rows, columns))),
            ("outline", png(outline_strip(block.mask))),
        )
    )
    probability = f"Finding {finding.number}, probability {finding.probability:.2f}"
    return (
        f'<figure class="finding" id="finding{finding.number}">'
        f'<div class="slices" style="{size}">{layers}</div>'
        f'<input type="range" min="0" max="{count - 1}" value="{start}"'
        f' {counting} data-z="{z:.3f}" data-step="{scan.affine[2, 0]:.5f}"'
        f' aria-label="slice of finding {finding.number}">'
        f"<figcaption>{probability}, slice <output></output></figcaption></figure>"
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


def png(image: NDArray[np.uint8]) -> str:
    """An image as PNG in base 64."""
    _, data = cv2.imencode(".png", image)
    return base64.b64encode(data.tobytes()).decode()


def fact_rows(content: Mapping[str, Any]) -> list[str]:
    """What was run on what, as rows of a table."""
    facts = {
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
            f"weights {number}": "{path}, stage {stage}, fold {fold}, {epochs} epochs,"
            " SHA-256 {sha256}".format(**weights)
            for number, weights in enumerate(content["weights"], 1)
        },
        "preprocessing": pairs(content["preprocess"]),
        "lungs": content["lungs"],
        "prediction": pairs(content["inference"]),
        "threshold": threshold_text(content),
        "files": ", ".join(content["files"]),
    }
    return [f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items()]


def pairs(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
