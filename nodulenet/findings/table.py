"""findings.csv: one row per finding, LUNA16's columns first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from nodulenet.annotations.challenge_csv import POSITION
from nodulenet.files import replacing
from nodulenet.findings.measure import Finding
from nodulenet.findings.scans import Source
from nodulenet.imaging import Volume

IMAGE_POSITION = ("imageX", "imageY", "imageZ")
COLUMNS = (
    *("seriesuid", *POSITION, "probability", "diameter_mm"),
    *("finding", "volume_mm3", "equivalent_diameter_mm", "long_axis_mm", "mean_hu"),
    *("ncs_probability", "dfps_probability"),
    *("slice", "row", "column", *IMAGE_POSITION),
    *("instance_number", "sop_instance_uid", "frame_number"),
)
PROBABILITIES = ("probability", "ncs_probability", "dfps_probability")
DIGITS = {
    **dict.fromkeys((*POSITION, *IMAGE_POSITION), 3),
    **dict.fromkeys(("diameter_mm", "equivalent_diameter_mm", "long_axis_mm"), 3),
    **dict.fromkeys(("volume_mm3", "mean_hu", "row", "column"), 2),
}


Row = dict[str, Any]
"""One row of findings.csv in plain values; None where there is no value."""


class Record(TypedDict):
    """The content of findings.json: input, networks and settings, and the findings."""

    version: str
    research: str
    made: str
    input: str
    series_uid: str
    patient_id: str | None
    scan: dict[str, Any]
    weights: list[dict[str, Any]]
    preprocess: dict[str, Any]
    lungs: str
    inference: dict[str, Any]
    threshold: dict[str, Any]
    findings: list[Row]
    notes: list[str]
    files: list[str]


def finding_rows(
    series_uid: str,
    findings: Sequence[Finding],
    scan: Volume,
    sources: Sequence[Source] | None = None,
) -> list[Row]:
    """One row per finding.

    coord: the position in LPS mm. slice: the number, from 1, of the scan's slice (first axis of
    its array) nearest to it; row and column: the pixel there, from 0 at the centre of the first
    one; image: LPS position in mm of that slice's first pixel (ImagePositionPatient). sources: of
    a DICOM series' slices, for the slice's InstanceNumber and SOPInstanceUID, and the frame (from
    1) of a multi-frame image.
    """
    rows = []
    for finding in findings:
        z, y, x = scan.to_voxel(finding.position).tolist()
        at = int(np.clip(round(z), 0, scan.array.shape[0] - 1))
        source = sources[at] if sources else None
        values: dict[str, Any] = {
            "seriesuid": series_uid,
            **dict(zip(POSITION, finding.position.tolist(), strict=True)),
            "finding": finding.number,
            **{name: getattr(finding, name) for name in COLUMNS if hasattr(finding, name)},
            **{"slice": at + 1, "row": y, "column": x},
            **dict(zip(IMAGE_POSITION, scan.to_world(np.array([at, 0, 0])), strict=True)),
            "instance_number": source.number if source else None,
            "sop_instance_uid": (source.sop_uid or None) if source else None,
            "frame_number": source.frame if source else None,
        }
        rows.append({name: plain(name, values[name]) for name in COLUMNS})
    return rows


def plain(name: str, value: Any) -> Any:
    """The value of a column in JSON types, numbers rounded.

    A probability is the number with the fewest digits that has the same float32: 0.9999996, not
    0.99999958 or 1.
    """
    if value is None or isinstance(value, str):
        return value
    if name in PROBABILITIES:
        return float(str(np.float32(value)))
    return round(float(value), DIGITS[name]) if name in DIGITS else int(value)


def write_finding_rows(rows: Sequence[Row], path: Path) -> None:
    """Write findings.csv; without findings only its header."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    whole = ["instance_number", "frame_number"]
    table[whole] = table[whole].astype("Int64")
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
