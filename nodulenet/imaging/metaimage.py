"""The header of a MetaImage (.mhd, .mha) and the files that hold its voxels.

SimpleITK reads the image; what it takes without a word (data cut short, negative spacing, other
units) or ends the process on (an incomplete pattern of names) is refused here first.
"""

import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from nodulenet.files import InputError
from nodulenet.imaging.axes import GUESSED
from nodulenet.imaging.sizes import inflated, require_size
from nodulenet.numerals import is_positive, to_count

META_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
LINE = 65536
SLICES = 100_000  # names of data files at most
PATTERN = re.compile(r"([^\s%]*%0?[0-9]{0,2}d[^\s%]*)\s+([0-9]+)\s+([0-9]+)\s+([0-9]+)")
POSITION = ("Offset", "Position", "Origin")
DIRECTION = ("TransformMatrix", "Rotation", "Orientation")
Header = Mapping[str, str]


def meta_header(path: Path) -> tuple[dict[str, str], int]:
    """The keys of a MetaImage header (.mhd, .mha) and the offset at which the header ends.

    Raises `InputError` if the file is missing or no MetaImage header.
    """
    header: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            while "ElementDataFile" not in header:
                line = file.readline(LINE)
                key, equals, value = line.decode("ascii", "replace").partition("=")
                if not equals:
                    raise InputError(f"{path}: no MetaImage header: no ElementDataFile")
                header[key.strip()] = value.strip()
            return header, file.tell()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def meta_files(path: Path) -> list[Path]:
    """The data files that a MetaImage header names, in the order of the slices.

    None where the voxels follow the header. One file a slice is named by a list of names or by
    a numbered pattern such as `name%03d.raw 0 132 1`. Raises `InputError`.
    """
    header, end = meta_header(path)
    named = header["ElementDataFile"]
    if named.upper() == "LOCAL":
        return []
    if re.fullmatch(r"LIST(\s.*)?", named):
        if named.split()[1:] not in ([], ["2"], ["2D"]):
            raise InputError(f"{path}: ElementDataFile {named}: only lists of slices are read")
        return [path.parent / name for name in _listed(path, end)]
    if "%" in named:
        return [path.parent / name for name in numbered(path, named)]
    return [path.parent / named]


def numbered(path: Path, pattern: str) -> list[str]:
    """The names that `name%03d.raw FIRST LAST STEP` stands for. Raises `InputError`."""
    match = PATTERN.fullmatch(pattern)
    first, last, step = map(int, match.groups()[1:]) if match else (0, 0, 0)
    if not match or not step or (last - first) // step >= SLICES:
        raise InputError(
            f"{path}: data file {pattern}: not of the form name%03d.raw FIRST LAST STEP"
        )
    return [match[1] % number for number in range(first, last + 1, step)]


def _listed(path: Path, end: int) -> list[str]:
    with path.open("rb") as file:
        file.seek(end)
        lines = file.read(SLICES * 100).decode("utf-8", "replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def check_meta(path: Path, *, deep: bool = True) -> tuple[str, ...]:
    """Raise `InputError` where header or data of a MetaImage are not what they must be.

    `deep=False` inflates nothing. Returns a line for each thing that the header leaves open.
    """
    header, end = meta_header(path)
    size = _sizes(path, header)
    wanted = math.prod(size) * META_BYTES[header["ElementType"]]
    _check_space(path, header)
    own = header.get("HeaderSize", "0")
    skip = -1 if own == "-1" else _whole(path, own)  # -1: of any length
    packed = header.get("CompressedData", "False").lower() == "true"
    files = meta_files(path)
    if _by_slice(header["ElementDataFile"]):
        if packed or len(files) != size[-1]:
            fault = "compressed" if packed else f"{len(files)}, not {size[-1]}"
            raise InputError(f"{path}: its data files, one for each slice, are {fault}")
        wanted //= len(files)
    for data in files or [path]:
        if not data.is_file():
            raise InputError(f"{path}: its data file {data.name} is missing")
        start = max(skip, 0) if files else end
        if not packed:
            held = data.stat().st_size - start
            if skip != -1 or held < wanted:  # -1: of any length, the voxels end the file
                require_size(data, held, wanted)
        elif deep:
            _check_packed(data, start, wanted)
    return tuple(
        f"its header has no {keys[0]}: {taken}"
        for keys, taken in (
            (POSITION, "its first voxel is put at 0"),
            (DIRECTION, GUESSED),
        )
        if not header.keys() & set(keys)
    )


def _by_slice(named: str) -> bool:
    return "%" in named or named.split()[:1] == ["LIST"]


def _check_packed(data: Path, start: int, wanted: int) -> None:
    with data.open("rb") as file:
        file.seek(start)
        require_size(data, inflated(data, file, zlib.MAX_WBITS, wanted), wanted, "at least ")


def _sizes(path: Path, header: Header) -> list[int]:
    """Numbers that a MetaImage header announces: one per voxel and channel, slices last."""
    missing = [key for key in ("DimSize", "ElementType") if key not in header]
    if not {"ElementSpacing", "ElementSize"} & header.keys():
        missing.append("ElementSpacing")
    if missing:
        raise InputError(f"{path}: the header has no {', '.join(missing)}")
    if header["ElementType"] not in META_BYTES:
        raise InputError(f"{path}: ElementType {header['ElementType']} is not known")
    channels = _whole(path, header.get("ElementNumberOfChannels", "1"))
    sizes = [channels, *(_whole(path, text) for text in header["DimSize"].split())]
    if min(sizes) < 1:
        raise InputError(f"{path}: bad number in the header: a size of {min(sizes)}")
    return sizes


def _whole(path: Path, text: str) -> int:
    try:
        return to_count(text)
    except ValueError as error:
        raise InputError(f"{path}: bad number in the header: {error}") from None


def _check_space(path: Path, header: Header) -> None:
    """Refuse spacing that is not positive, which mirrors a scan, and lengths that are not mm."""
    key = next(key for key in ("ElementSpacing", "ElementSize") if key in header)
    for text in header[key].split():
        if not is_positive(text):
            raise InputError(f"{path}: {key} {header[key]}: a spacing must be above 0")
    if header.get("DistanceUnits", "mm") not in ("mm", "?", ""):
        raise InputError(f"{path}: DistanceUnits {header['DistanceUnits']}: only mm are read")
