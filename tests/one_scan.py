"""The steps of one scan one after the other, as the rules call them."""

from pathlib import Path
from typing import Any

from nodulenet.cohort.annotate import annotate_scan
from nodulenet.cohort.steps import consensus_scan, preprocess_scan

SETTINGS: dict[str, Any] = {
    "consensus": {
        "protocol": "nodulenet",
        "level": 3,
        "iou_threshold": 0.4,
        "merge": "union",
        "z": "nearest",
    },
    "preprocess": {
        "resample": True,
        "grid": "world",
        "hu_window": [-1200, 600],
        "pad_value": 170,
        "margin": 5,
    },
}


def reading(folder: Path, series: str) -> Path:
    """Where the annotations of a scan lie below the results."""
    return folder / f"annotations/{series}.json"


def nodules(folder: Path, series: str) -> dict[str, Path]:
    """What the consensus writes."""
    endings = {"nodules": ".npz", "findings": ".csv", "record": ".json"}
    return {name: folder / f"nodules/{series}{end}" for name, end in endings.items()}


def volume(folder: Path, series: str) -> dict[str, Path]:
    """What the preprocessing writes."""
    endings = {"volume": ".npy", "mask": "_mask.npy", "record": ".json"}
    return {name: folder / f"volumes/{series}{end}" for name, end in endings.items()}


def prepare(
    folder: Path,
    series: str,
    ct: Path,
    annotations: Path | None,
    source: Any = "xml",
    lungs: Path | None = None,
    on_bad_scan: str = "fail",
) -> None:
    """Annotations, consensus and volume of one scan below `folder`."""
    marks, groups = reading(folder, series), nodules(folder, series)
    annotate_scan(series, annotations, source, marks, on_bad_scan)
    consensus_scan(series, marks, ct, SETTINGS, groups, on_bad_scan)
    made, how = volume(folder, series), SETTINGS["preprocess"]
    preprocess_scan(series, ct, lungs, groups, how, made, on_bad_scan)
    assert all(path.exists() for path in (*groups.values(), *made.values()))
