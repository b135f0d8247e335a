"""The steps of one scan in order, as the rules call them, with the published settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nodulenet.cohort.annotate import annotate_scan
from nodulenet.cohort.steps import Scan, consensus_scan, preprocess_scan
from nodulenet.settings import ConsensusSettings, PreprocessSettings

RULES, GRID = ConsensusSettings(), PreprocessSettings()


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
    folder: Path, scan: Scan, annotations: Path | Sequence[Path], source: Any = "xml"
) -> None:
    """Annotations, consensus and volume of one scan below `folder`."""
    series = scan.series_uid
    marks, groups, made = (part(folder, series) for part in (reading, nodules, volume))
    paths = [annotations] if isinstance(annotations, Path) else annotations
    annotate_scan(series, paths, source, marks, scan.on_bad_scan)
    consensus_scan(scan, marks, RULES, GRID, groups)
    preprocess_scan(scan, groups, GRID, made)
    assert all(path.exists() for path in (*groups.values(), *made.values()))
