"""The headers of MetaImage (.mhd, .mha) and NRRD files, which SimpleITK reads.

What SimpleITK silently accepts (truncated data, negative spacing, other units) or crashes on (an
incomplete pattern of names) is refused here first.
"""

import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from nodulenet.files import InputError
from nodulenet.imaging.image_files import inflated_size, require_size
from nodulenet.imaging.orientation import ASSUMED_LPS, ASSUMED_ORIGIN
from nodulenet.numerals import number_or_nan, to_count

META_BYTES = {
    **{"MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2},
    **{"MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4, "MET_ULONG": 4},
    **{"MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8},
}
LINE = 65536
SLICES = 100_000  # maximum number of data files
PATTERN = re.compile(r"([^\s%]*%0?[0-9]{0,2}d[^\s%]*)\s+([0-9]+)\s+([0-9]+)\s+([0-9]+)")
POSITION = ("Offset", "Position", "Origin")
DIRECTION = ("TransformMatrix", "Rotation", "Orientation")
# The first three axes; a fourth, time, has no place in a single scan.
PATIENT_SPACES = re.compile(r"(left|right)-(anterior|posterior)-(inferior|superior)|[LR][AP][IS]")
MM = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "")
Header = Mapping[str, str]


def meta_files(path: Path) -> list[Path]:
    """The data files that a MetaImage header names, in the order of the slices.

    None are named if the voxels follow the header. One file per slice is named by a list of names
    or by a numbered pattern such as `name%03d.raw 0 132 1`. Raises `InputError` or, for a
    header that cannot be opened, `OSError`.
    """
    header, end = _meta_header(path)
    named = header["ElementDataFile"]
    if named.upper() == "LOCAL":
        return []
    if re.fullmatch(r"LIST(\s.*)?", named):
        if named.split()[1:] not in ([], ["2"], ["2D"]):
            raise InputError(f"{path}: ElementDataFile {named}: only lists of slices are read")
        with path.open("rb") as file:
            file.seek(end)
            return [path.parent / name for name in _lines(file.read(SLICES * 100))]
    if "%" in named:
        return [path.parent / name for name in _expand_pattern(path, named)]
    return [path.parent / named]


def check_meta(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """Raise `InputError` for a MetaImage whose header or data is invalid.

    `deep=False` inflates nothing. Returns a note for each thing that the header leaves open.
    """
    header, end = _meta_header(path)
    size = _meta_sizes(path, header)
    wanted = math.prod(size) * META_BYTES[header["ElementType"]]
    _check_meta_space(path, header)
    own = header.get("HeaderSize", "0")
    skip = -1 if own == "-1" else _integer(path, own)
    compressed = header.get("CompressedData", "False").lower() == "true"
    files = meta_files(path)
    named = header["ElementDataFile"]
    if "%" in named or named.split()[:1] == ["LIST"]:
        if compressed or len(files) != size[-1]:
            fault = "compressed" if compressed else f"{len(files)}, not {size[-1]}"
            raise InputError(f"{path}: its data files, one for each slice, are {fault}")
        wanted //= len(files)
    for data in files or [path]:
        _require_data(path, data)
        start = max(skip, 0) if files else end
        if not compressed:
            found = data.stat().st_size - start
            if skip != -1 or found < wanted:  # -1: of any length, the voxels end the file
                require_size(data, found, wanted)
        elif deep:
            found = _inflated_from(data, start, zlib.MAX_WBITS, wanted)
            require_size(data, found, wanted, "at least ")
    return tuple(
        f"its header has no {keys[0]}: {assumed}"
        for keys, assumed in (
            (POSITION, ASSUMED_ORIGIN),
            (DIRECTION, ASSUMED_LPS),
        )
        if not header.keys() & set(keys)
    )


def _meta_header(path: Path) -> tuple[dict[str, str], int]:
    """The keys of a MetaImage header and the offset of its end; raises as `meta_files`."""
    header: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in header:
            line = file.readline(LINE)
            key, equals, value = line.decode("ascii", "replace").partition("=")
            if not equals:
                raise InputError(f"{path}: no MetaImage header: no ElementDataFile")
            header[key.strip()] = value.strip()
        return header, file.tell()


def _meta_sizes(path: Path, header: Header) -> list[int]:
    """Numbers that a MetaImage header announces: one per voxel and channel, slices last."""
    missing = [key for key in ("DimSize", "ElementType") if key not in header]
    if not {"ElementSpacing", "ElementSize"} & header.keys():
        missing.append("ElementSpacing")
    if missing:
        raise InputError(f"{path}: the header has no {', '.join(missing)}")
    if header["ElementType"] not in META_BYTES:
        raise InputError(f"{path}: ElementType {header['ElementType']} is not known")
    channels = _integer(path, header.get("ElementNumberOfChannels", "1"))
    sizes = [channels, *(_integer(path, text) for text in header["DimSize"].split())]
    if min(sizes) < 1:
        raise InputError(f"{path}: bad number in the header: a size of {min(sizes)}")
    return sizes


def _check_meta_space(path: Path, header: Header) -> None:
    """Refuse spacing that is not positive, which mirrors a scan, and lengths that are not mm."""
    key = next(key for key in ("ElementSpacing", "ElementSize") if key in header)
    for text in header[key].split():
        if not number_or_nan(text) > 0:
            raise InputError(f"{path}: {key} {header[key]}: a spacing must be above 0")
    if header.get("DistanceUnits", "mm") not in ("mm", "?", ""):
        raise InputError(f"{path}: DistanceUnits {header['DistanceUnits']}: only mm are read")


def nrrd_files(path: Path) -> list[Path]:
    """The data files that an NRRD header names; none if the voxels follow it."""
    fields, _, listed = _nrrd_header(path)
    named = fields.get("data file", "")
    if "%" in named:
        listed = _expand_pattern(path, named)
    elif named and not listed:
        listed = [named]
    return [path.parent / name for name in listed]


def check_nrrd(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """As `check_meta`, for an NRRD file."""
    fields, end, _ = _nrrd_header(path)
    if not {"space directions", "spacings"} & fields.keys():
        raise InputError(f"{path}: the header has no space directions")
    for data in nrrd_files(path):
        _require_data(path, data)
    _check_nrrd_space(path, fields)
    compressed = fields.get("encoding", "").lower() in ("gzip", "gz")
    if deep and compressed and "data file" not in fields:
        _inflated_from(path, end, zlib.MAX_WBITS | 16)
    notes = []
    if not PATIENT_SPACES.fullmatch(fields.get("space", "")):
        notes.append(f"its header names no space of the patient: {ASSUMED_LPS}")
    if not {"space origin", "axis mins"} & fields.keys():
        notes.append(f"its header has no space origin: {ASSUMED_ORIGIN}")
    return tuple(notes)


def _nrrd_header(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """The fields of an NRRD header by lower-case name, the offset of its end, and the data files
    of `data file: LIST`, if any. Raises `InputError` if the file is not NRRD.
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
                listed = _lines(file.read())
                return fields, file.tell(), listed
        return fields, file.tell(), []


def _check_nrrd_space(path: Path, fields: Header) -> None:
    """Refuse spacing that is not positive, axes without a direction, and units other than mm."""
    for text in fields.get("spacings", "").split():
        if not number_or_nan(text) > 0 and fields.get("dimension") == "3":
            raise InputError(f"{path}: spacings {fields['spacings']}: a spacing must be above 0")
    directions = fields.get("space directions", "")
    if "none" in directions.lower() and fields.get("dimension") == "3":
        raise InputError(f"{path}: space directions {directions}: an axis has no direction")
    for unit in re.findall(r'"([^"]*)"', fields.get("space units", "")):
        if unit.strip().lower() not in MM:
            raise InputError(f"{path}: space units {fields['space units']}: only mm are read")


def _expand_pattern(path: Path, pattern: str) -> list[str]:
    """The names that `name%03d.raw FIRST LAST STEP` stands for. Raises `InputError`."""
    match = PATTERN.fullmatch(pattern)
    first, last, step = map(int, match.groups()[1:]) if match else (0, 0, 0)
    if not match or not step or (last - first) // step >= SLICES:
        raise InputError(
            f"{path}: data file {pattern}: not of the form name%03d.raw FIRST LAST STEP"
        )
    return [match[1] % number for number in range(first, last + 1, step)]


def _lines(content: bytes) -> list[str]:
    lines = content.decode("utf-8", "replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _require_data(path: Path, data: Path) -> None:
    if not data.is_file():
        raise InputError(f"{path}: its data file {data.name} is missing")


def _inflated_from(path: Path, start: int, window: int, wanted: float = math.inf) -> int:
    with path.open("rb") as file:
        file.seek(start)
        return inflated_size(path, file, window, wanted)


def _integer(path: Path, text: str) -> int:
    try:
        return to_count(text)
    except ValueError as error:
        raise InputError(f"{path}: bad number in the header: {error}") from None
