"""What nodules and scans are grouped by: size, scanner, step between slices."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nodulenet.evaluation.truth import ScoredScan
from nodulenet.files import InputError, own_artefact, read_json

EDGES_MM = (0.0, 6.0, 10.0, 20.0, 30.0, np.inf)
SIZES = ("under 6 mm", "6 to 10 mm", "10 to 20 mm", "20 to 30 mm", "30 mm or more")
UNKNOWN = "size not given"
STEP_EDGES_MM = (0.0, 1.5, 2.75, np.inf)
STEPS = ("under 1.5 mm", "1.5 to 2.75 mm", "2.75 mm or more")


def size_group(diameters: pd.Series) -> pd.Series:
    """The group of each diameter in mm, one of `SIZES`; `UNKNOWN` for negative ones."""
    size = pd.cut(diameters, EDGES_MM, right=False, labels=SIZES).astype(object)
    return size.where(diameters >= 0, UNKNOWN)


@dataclass(frozen=True)
class ScanFacts:
    """A scan as its CT was: its scanner in words, slice thickness (None: not in the file), number
    of slices, spacing (z, y, x) in mm. outlined: whether its nodules are what readers drew.
    """

    scanner: str
    thickness_mm: float | None
    slices: int | None
    spacing_mm: tuple[float, float, float]
    outlined: bool = True


def read_facts(scan: ScoredScan) -> ScanFacts:
    """What a scan's record says of its CT. Raises `CorruptArtefact` naming a damaged record."""
    record = read_json(scan.record)
    with own_artefact(scan.record):
        if "source_affine" not in record:
            raise InputError(f"{scan.record}: no record of a scan: source_affine is missing")
        z, y, x = np.linalg.norm(np.array(record["source_affine"], float)[:3, :3], axis=0).tolist()
        scanner = record.get("scanner") or {}
        shape = record.get("source_shape")
        return ScanFacts(
            scanner=scanner_text(scanner),
            thickness_mm=scanner.get("slice_thickness_mm"),
            slices=int(shape[0]) if shape else None,
            spacing_mm=(z, y, x),
            outlined=record.get("outlined", True),
        )


def scanner_text(scanner: Mapping[str, object]) -> str:
    """Manufacturer and model, where the file names them."""
    names = [scanner.get(name) for name in ("manufacturer", "model")]
    return " ".join(str(name) for name in names if name) or "not in the file"


def step_group(facts: ScanFacts) -> str:
    """The group of a scan's step between slices, one of `STEPS`."""
    return STEPS[int(np.searchsorted(STEP_EDGES_MM, facts.spacing_mm[0], side="right")) - 1]
