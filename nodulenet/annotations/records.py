"""What the radiologists drew: readings, sessions, marks and outlines; stored as JSON."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nodulenet.files import InputError, own_artefact, read_json, replacing
from nodulenet.masks import CroppedMask, Index

MarkKind = Literal["nodule", "small", "non_nodule"]


@dataclass(frozen=True)
class Roi:
    """One outline on one slice: world z in mm, vertices (x, y) in pixels of the DICOM image."""

    z: float
    inclusion: bool
    vertices: tuple[tuple[float, float], ...]
    sop_uid: str | None = None


@dataclass(frozen=True)
class Drawing:
    """A mark's voxels in a mask file: the box of `shape` at `offset` (z, y, x) of the file's grid.

    bits: the voxels of the box in C order, packed, in base64. affine: index (z, y, x, 1) of the
    grid -> LPS (x, y, z, 1) in mm; grid: its shape (z, y, x). oriented: whether the file says how
    the axes lie in the patient.
    """

    offset: Index
    shape: Index
    bits: str
    affine: tuple[tuple[float, ...], ...]
    grid: Index
    oriented: bool


@dataclass(frozen=True)
class Mark:
    """One reader's mark: a nodule >= 3 mm with outlines or voxels, or the point of a small or
    non-nodule.
    """

    kind: MarkKind
    mark_id: str
    rois: tuple[Roi, ...]
    characteristics: Mapping[str, int] = field(default_factory=dict)
    drawing: Drawing | None = None


@dataclass(frozen=True)
class Session:
    """The marks of one reader in one reading session, in the order of the file."""

    reader: str | None
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class ListedNodule:
    """A nodule without outline: centre (x, y, z) in world mm (LPS), diameter in mm (negative if
    unknown), and the line of the table that lists it.
    """

    centre: tuple[float, float, float]
    diameter_mm: float
    line: int


@dataclass(frozen=True)
class Reading:
    """Every session of one series, the source, and its oddities (flags).

    A series read from a table of positions has listed nodules instead of sessions.
    """

    series_uid: str
    sessions: tuple[Session, ...]
    source: str
    sha256: str
    flags: tuple[str, ...] = ()
    listed: tuple[ListedNodule, ...] = ()


@dataclass(frozen=True, eq=False)
class SliceGeometry:
    """The slices of the images that readers drew on: world z in mm of each, in order, and
    (rows, columns).
    """

    z: NDArray[np.float64]
    shape: tuple[int, int]


def write_reading(reading: Reading, path: Path | str) -> None:
    """Write a reading as compact JSON; `read_reading` gives an equal record back."""
    text = json.dumps(asdict(reading), separators=(",", ":"), allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n")


def read_reading(path: Path | str) -> Reading:
    """Read what `write_reading` wrote.

    Raises `CorruptArtefact` naming the file and the fault if it is missing, not JSON or not a whole
    reading.
    """
    with own_artefact(path):
        return _reading(path, read_json(path))


def _reading(path: Path | str, content: dict[str, Any]) -> Reading:
    try:
        return Reading(
            series_uid=_text(content["series_uid"]),
            sessions=tuple(_session(session) for session in content["sessions"]),
            source=_text(content["source"]),
            sha256=_text(content["sha256"]),
            flags=tuple(_text(flag) for flag in content["flags"]),
            listed=tuple(_listed(nodule) for nodule in content["listed"]),
        )
    except KeyError as error:
        raise InputError(f"{path}: not a reading: {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a reading: {error}") from error


def _session(content: Any) -> Session:
    marks = tuple(_mark(mark) for mark in content["marks"])
    return Session(_optional_text(content["reader"]), marks)


def _mark(content: Any) -> Mark:
    if content["kind"] not in get_args(MarkKind):
        raise ValueError(f"{content['kind']!r} is not a kind of mark")
    rois = tuple(_roi(roi) for roi in content["rois"])
    characteristics = {str(k): int(v) for k, v in content["characteristics"].items()}
    drawing = None if content["drawing"] is None else _drawing(content["drawing"])
    return Mark(content["kind"], _text(content["mark_id"]), rois, characteristics, drawing)


def _drawing(content: Any) -> Drawing:
    affine = tuple(tuple(map(float, row)) for row in content["affine"])
    if np.shape(affine) != (4, 4) or not np.isfinite(affine).all():
        raise ValueError("an affine that is not 4 x 4 finite numbers")
    drawing = Drawing(
        _index(content["offset"]),
        _index(content["shape"]),
        _text(content["bits"]),
        affine,
        _index(content["grid"]),
        bool(content["oriented"]),
    )
    voxels_of(drawing)
    return drawing


def _index(content: Any) -> Index:
    z, y, x = map(int, content)
    return z, y, x


def drawing_of(
    voxels: CroppedMask, affine: NDArray[np.float64], grid: Index, oriented: bool = True
) -> Drawing:
    """A mask of the grid with this affine and shape as a `Drawing`."""
    z, y, x = voxels.mask.shape
    bits = base64.b64encode(np.packbits(voxels.mask.ravel()).tobytes()).decode()
    rows = tuple(map(tuple, affine.tolist()))
    return Drawing(voxels.offset, (z, y, x), bits, rows, grid, oriented)


def voxels_of(drawing: Drawing) -> CroppedMask:
    """The mask of a drawing in its file's grid. Raises `ValueError` if its bits do not fit."""
    packed = np.frombuffer(base64.b64decode(drawing.bits, validate=True), np.uint8)
    count = math.prod(drawing.shape)
    if len(packed) != -(-count // 8):
        raise ValueError(f"{len(packed)} bytes of bits for a box of {count} voxels")
    mask = np.unpackbits(packed, count=count).astype(bool).reshape(drawing.shape)
    return CroppedMask(mask, drawing.offset)


def _roi(content: Any) -> Roi:
    if not isinstance(content["inclusion"], bool):
        raise ValueError(f"inclusion is {content['inclusion']!r}")
    vertices = tuple((float(x), float(y)) for x, y in content["vertices"])
    if not vertices:
        raise ValueError("an ROI without vertices")
    z = float(content["z"])
    if not math.isfinite(z) or not all(math.isfinite(x + y) for x, y in vertices):
        raise ValueError("a position that is not a finite number")
    return Roi(z, content["inclusion"], vertices, _optional_text(content["sop_uid"]))


def _listed(content: Any) -> ListedNodule:
    x, y, z = map(float, content["centre"])
    diameter = float(content["diameter_mm"])
    if not math.isfinite(x + y + z + diameter):
        raise ValueError("a position or diameter that is not a finite number")
    return ListedNodule((x, y, z), diameter, int(content["line"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)
