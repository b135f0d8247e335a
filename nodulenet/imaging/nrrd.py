"""The header of an NRRD file, and what SimpleITK takes from it without a word."""

import re
import zlib
from pathlib import Path

from nodulenet.files import InputError
from nodulenet.imaging.axes import GUESSED
from nodulenet.imaging.metaimage import numbered
from nodulenet.imaging.sizes import inflated
from nodulenet.numerals import is_positive

LINE = 65536
# The first three axes; a fourth, time, has no place in a single scan.
PATIENT_SPACES = re.compile(r"(left|right)-(anterior|posterior)-(inferior|superior)|[LR][AP][IS]")
MM = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "")


def nrrd_header(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """The fields of an NRRD header, the offset at which it ends, and a list of its data files.

    Names of fields are in lower case. The list is that of `data file: LIST`, else empty. Raises
    `InputError` if the file is no NRRD.
    """
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        if not file.readline(LINE).startswith(b"NRRD"):
            raise InputError(f"{path}: no NRRD header")
        while (line := file.readline(LINE)).strip():
            key, colon, value = line.decode("utf-8", "replace").partition(":")
            if colon and not key.startswith("#") and not value.startswith("="):
                name = key.strip().lower()
                fields["data file" if name == "datafile" else name] = value.strip()
            if fields.get("data file", "").startswith("LIST"):
                listed = file.read().decode("utf-8", "replace").splitlines()
                return fields, file.tell(), [name.strip() for name in listed if name.strip()]
        return fields, file.tell(), []


def nrrd_files(path: Path) -> list[Path]:
    """The data files that an NRRD header names; none where the voxels follow it."""
    fields, _, listed = nrrd_header(path)
    named = fields.get("data file", "")
    if "%" in named:
        listed = numbered(path, named)
    elif named and not listed:
        listed = [named]
    return [path.parent / name for name in listed]


def check_nrrd(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """Raise `InputError` where header or data of an NRRD are not what they must be.

    `deep=False` inflates nothing. Returns a line for each thing that the header leaves open.
    """
    fields, end, _ = nrrd_header(path)
    if not {"space directions", "spacings"} & fields.keys():
        raise InputError(f"{path}: the header has no space directions")
    for data in nrrd_files(path):
        if not data.is_file():
            raise InputError(f"{path}: its data file {data.name} is missing")
    _check_space(path, fields)
    packed = fields.get("encoding", "").lower() in ("gzip", "gz")
    if deep and packed and "data file" not in fields:
        with path.open("rb") as file:
            file.seek(end)
            inflated(path, file, zlib.MAX_WBITS | 16)
    notes = []
    if not PATIENT_SPACES.fullmatch(fields.get("space", "")):
        notes.append(f"its header names no space of the patient: {GUESSED}")
    if not {"space origin", "axis mins"} & fields.keys():
        notes.append("its header has no space origin: its first voxel is put at 0")
    return tuple(notes)


def _check_space(path: Path, fields: dict[str, str]) -> None:
    """Refuse spacing that is not positive, axes without a direction, and units beside mm."""
    for text in fields.get("spacings", "").split():
        if not is_positive(text) and fields.get("dimension") == "3":
            raise InputError(f"{path}: spacings {fields['spacings']}: a spacing must be above 0")
    directions = fields.get("space directions", "")
    if "none" in directions.lower() and fields.get("dimension") == "3":
        raise InputError(f"{path}: space directions {directions}: an axis has no direction")
    for unit in re.findall(r'"([^"]*)"', fields.get("space units", "")):
        if unit.strip().lower() not in MM:
            raise InputError(f"{path}: space units {fields['space units']}: only mm are read")
