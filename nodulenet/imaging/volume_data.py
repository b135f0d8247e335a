"""Is the data of an image file whole? SimpleITK reads some that is cut short without a word."""

import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from nodulenet.files import InputError

CHUNK = 1 << 22
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


def check_data(path: Path, *, deep: bool = True) -> list[Path]:
    """Raise `InputError` if the voxel data of an image file is missing, cut short or corrupt.

    `deep=False` compares sizes only and inflates nothing. Returns the data files beside `path`.
    """
    name = path.name.lower()
    try:
        if name.endswith((".mhd", ".mha")):
            return _check_meta(path, deep)
        if name.endswith((".nii", ".nii.gz")):
            _check_nifti(path, deep)
        elif name.endswith(".nrrd") and deep:
            _check_nrrd(path)
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: its compressed data is cut short or corrupt") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    return []


def meta_header(path: Path) -> tuple[dict[str, str], int]:
    """The keys of a MetaImage header (.mhd, .mha) and the offset at which the header ends.

    Raises `InputError` if the file is missing or no MetaImage header.
    """
    header: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            while "ElementDataFile" not in header:
                line = file.readline(65536)
                key, equals, value = line.decode("ascii", "replace").partition("=")
                if not equals:
                    raise InputError(f"{path}: no MetaImage header: no ElementDataFile")
                header[key.strip()] = value.strip()
            return header, file.tell()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _check_meta(path: Path, deep: bool) -> list[Path]:
    header, end = meta_header(path)
    local = header["ElementDataFile"].upper() == "LOCAL"
    data = path if local else path.parent / header["ElementDataFile"]
    if not data.is_file():
        raise InputError(f"{path}: its data file {header['ElementDataFile']} is missing")
    wanted, skip = _meta_size(path, header)
    start = end if local else max(skip, 0)
    if header.get("CompressedData", "False").lower() != "true":
        held = data.stat().st_size - start
        if skip != -1 or held < wanted:
            _same(data, held, wanted)
    elif deep:
        with data.open("rb") as file:
            file.seek(start)
            _same(data, _inflated(data, file, zlib.MAX_WBITS, wanted), wanted, "at least ")
    return [] if local else [data]


def _meta_size(path: Path, header: dict[str, str]) -> tuple[int, int]:
    """Bytes of voxels that a MetaImage header announces, and of its data file's own header."""
    missing = [key for key in ("DimSize", "ElementType") if key not in header]
    if not {"ElementSpacing", "ElementSize"} & header.keys():
        missing.append("ElementSpacing")
    if missing:
        raise InputError(f"{path}: the header has no {', '.join(missing)}")
    if header["ElementType"] not in META_BYTES:
        raise InputError(f"{path}: ElementType {header['ElementType']} is not known")
    try:
        channels = int(header.get("ElementNumberOfChannels", 1))
        voxels = math.prod(int(n) for n in header["DimSize"].split())
        skip = int(header.get("HeaderSize", 0))
    except ValueError as error:
        raise InputError(f"{path}: bad number in the header: {error}") from error
    return voxels * channels * META_BYTES[header["ElementType"]], skip


def _check_nifti(path: Path, deep: bool) -> None:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        head = file.read(348)
        order = next((o for o in "<>" if head[:4] == struct.pack(f"{o}i", 348)), None)
        if order is None or len(head) < 348:
            raise InputError(f"{path}: no NIfTI-1 header")
        dims = struct.unpack(f"{order}8h", head[40:56])
        bits = struct.unpack(f"{order}h", head[72:74])[0]
        offset = int(struct.unpack(f"{order}f", head[108:112])[0])
        wanted = math.prod(max(n, 1) for n in dims[1 : dims[0] + 1]) * bits // 8 + offset
        if path.suffix != ".gz":
            _same(path, path.stat().st_size, wanted)
        elif deep:
            _same(path, len(head) + _length(file, wanted), wanted, "at least ")


def _check_nrrd(path: Path) -> None:
    with path.open("rb") as file:
        fields: dict[str, str] = {}
        for line in file:
            if not line.strip():
                break
            key, _, value = line.decode("ascii", "replace").partition(":")
            fields[key.strip().lower()] = value.strip()
        if not {"space directions", "spacings"} & fields.keys():
            raise InputError(f"{path}: the header has no space directions")
        if fields.get("encoding", "").lower() in ("gzip", "gz") and "data file" not in fields:
            _inflated(path, file, zlib.MAX_WBITS | 16)


def _inflated(path: Path, file: BinaryIO, window: int, wanted: float = math.inf) -> int:
    """Bytes that a zlib or gzip stream holds, counted to a little beyond those `wanted`.

    A chunk at a time in and out: a small file that inflates to any size takes neither the memory
    nor, where the size is known, the time for it.
    """
    stream = zlib.decompressobj(window)
    size = 0
    try:
        while not stream.eof and size <= wanted:
            chunk = stream.unconsumed_tail or file.read(CHUNK)
            if not chunk:
                raise EOFError
            size += len(stream.decompress(chunk, CHUNK))
    except (zlib.error, EOFError) as error:
        raise InputError(f"{path}: its compressed data is cut short or corrupt") from error
    return size


def _length(file: BinaryIO | gzip.GzipFile | BufferedReader, wanted: int) -> int:
    size = 0
    while size <= wanted and (chunk := file.read(CHUNK)):
        size += len(chunk)
    return size


def _same(path: Path, held: int, wanted: int, bound: str = "") -> None:
    """`bound` says that what was found beyond `wanted` was not counted to its end."""
    if held != wanted:
        bound = bound if held > wanted else ""
        raise InputError(f"{path}: holds {bound}{held} bytes of data, its header says {wanted}")
