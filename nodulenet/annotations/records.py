"""What the radiologists drew: readings, sessions, marks and outlines, as plain records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MarkKind = Literal["nodule", "small", "non_nodule"]


@dataclass(frozen=True)
class Roi:
    """One outline on one slice: world z in mm, vertices (x, y) in pixels of the DICOM image."""

    z: float
    inclusion: bool
    vertices: tuple[tuple[float, float], ...]
    sop_uid: str | None = None


@dataclass(frozen=True)
class Mark:
    """One reader's mark: a nodule >= 3 mm with outlines, or a point (small, non-nodule)."""

    kind: MarkKind
    mark_id: str
    rois: tuple[Roi, ...]
    characteristics: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """The marks of one reader in one reading session, in the order of the file."""

    reader: str | None
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class ListedNodule:
    """A nodule without outline: centre (x, y, z) in world mm (LPS), diameter in mm (negative
    where unknown), and the line of the table that lists it.
    """

    centre: tuple[float, float, float]
    diameter_mm: float
    line: int


@dataclass(frozen=True)
class Reading:
    """Every session of one series, with the source it came from and what was odd about it.

    A series read from a table of positions has no sessions but listed nodules.
    """

    series_uid: str
    sessions: tuple[Session, ...]
    source: str
    sha256: str
    flags: tuple[str, ...] = ()
    listed: tuple[ListedNodule, ...] = ()


@dataclass(frozen=True, eq=False)
class SliceGeometry:
    """Where the slices of the images that readers drew on lie: world z in mm of each slice in
    order, and (rows, columns).
    """

    z: NDArray[np.float64]
    shape: tuple[int, int]
