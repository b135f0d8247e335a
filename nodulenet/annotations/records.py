"""What the radiologists drew: readings, sessions, marks and outlines; stored as JSON."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    TypeAdapter,
    ValidationError,
    with_config,
)

from nodulenet.files import InputError, own_artefact, read_json, replacing
from nodulenet.masks import CroppedMask, Index

Triple = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
AffineRow = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
MarkKind = Literal["nodule", "small", "non_nodule"]


@dataclass(frozen=True)
class Roi:
    """One outline on one slice: world z in mm, vertices (x, y) in pixels of the DICOM image."""

    z: FiniteFloat
    inclusion: StrictBool
    vertices: Annotated[tuple[tuple[FiniteFloat, FiniteFloat], ...], Field(min_length=1)]
    sop_uid: str | None = None


@dataclass(frozen=True)
class DrawnVoxels:
    """A mark's voxels in a mask file: the box of `shape` at `offset` (z, y, x) of the file's grid.

    bits: the voxels of the box in C order, packed, in base64. affine: index (z, y, x, 1) of the
    grid -> LPS (x, y, z, 1) in mm; grid: its shape (z, y, x). placed: whether the file says where
    its voxels lie in the patient, all of it: position, directions and steps of the axes.
    """

    offset: Index
    shape: Index
    bits: str
    affine: Annotated[tuple[AffineRow, ...], Field(min_length=4, max_length=4)]
    grid: Index
    placed: StrictBool

    def __post_init__(self) -> None:
        """Raise `ValueError` if the bits are not those of the box."""
        length, voxels = len(base64.b64decode(self.bits, validate=True)), math.prod(self.shape)
        if length != -(-voxels // 8):
            raise ValueError(f"{length} bytes of bits for a box of {voxels} voxels")


@dataclass(frozen=True)
class Mark:
    """One reader's mark: a nodule >= 3 mm with outlines or voxels, or the point of a small or
    non-nodule.
    """

    kind: MarkKind
    mark_id: str
    rois: tuple[Roi, ...]
    characteristics: Mapping[str, int] = field(default_factory=dict)
    drawing: DrawnVoxels | None = None


@dataclass(frozen=True)
class Session:
    """The marks of one reader in one reading session, in the order of the file.

    frame_of_reference: the UID that a DICOM segmentation gives to the space its voxels lie in.
    """

    reader: str | None
    marks: tuple[Mark, ...]
    frame_of_reference: str | None = None


@dataclass(frozen=True)
class ListedNodule:
    """A nodule without outline: centre (x, y, z) in world mm (LPS), diameter in mm (negative if
    unknown), the line of the table that lists it, and the sides (x, y, z) in mm of its box, None
    where only the diameter is given.
    """

    centre: Triple
    diameter_mm: FiniteFloat
    line: int
    sides_mm: Triple | None = None


@with_config(ConfigDict(extra="forbid"))  # else a key with a damaged name would pass as left out
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


READING = TypeAdapter(Reading)


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
    """Read what `write_reading` wrote; keys with a default may be absent.

    Raises `CorruptArtefact` naming the file and the fault if it is missing, not JSON or not a whole
    reading.
    """
    content = read_json(path)
    with own_artefact(path):
        try:
            return READING.validate_python(content)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(map(str, fault["loc"]))
            raise InputError(f"{path}: not a reading: {place}: {fault['msg']}") from error


def drawing_of(
    voxels: CroppedMask, affine: NDArray[np.float64], grid: Index, placed: bool = True
) -> DrawnVoxels:
    """A mask of the grid with this affine and shape as a `DrawnVoxels`."""
    z, y, x = voxels.mask.shape
    bits = base64.b64encode(np.packbits(voxels.mask.ravel()).tobytes()).decode()
    rows = tuple(map(tuple, affine.tolist()))
    return DrawnVoxels(voxels.offset, (z, y, x), bits, rows, grid, placed)


def voxels_of(drawing: DrawnVoxels) -> CroppedMask:
    """The mask of a drawing in its file's grid."""
    packed = np.frombuffer(base64.b64decode(drawing.bits), np.uint8)
    voxels = np.unpackbits(packed, count=math.prod(drawing.shape))
    mask = voxels.astype(bool).reshape(drawing.shape)
    return CroppedMask(mask, drawing.offset)
