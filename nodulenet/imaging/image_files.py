"""Image files: their formats by suffix, and how many bytes of voxels they hold."""

import math
import zlib
from io import BufferedIOBase
from pathlib import Path

from nodulenet.files import InputError

META = (".mhd", ".mha")
NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd",)
IMAGE_SUFFIXES = (*META, *NIFTI, *NRRD)
CHUNK = 1 << 22


def image_suffix(path: Path) -> str:
    """The suffix of an image file of a known format, as written; "" for other files."""
    found = [suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix)]
    return path.name[-len(max(found, key=len)) :] if found else ""


def inflated_size(path: Path, file: BufferedIOBase, window: int, wanted: float = math.inf) -> int:
    """Bytes in a zlib or gzip stream, counted until a little more than `wanted`.

    In chunks: a small file that inflates to a huge size takes neither the memory nor, if the size
    is known, the time. window: as for `zlib.decompressobj`. Raises `InputError`.
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


def remaining_size(file: BufferedIOBase, wanted: int) -> int:
    """Bytes from here to the end of a file, counted until a little more than `wanted`."""
    size = 0
    while size <= wanted and (chunk := file.read(CHUNK)):
        size += len(chunk)
    return size


def require_size(path: Path, found: int, wanted: int, bound: str = "") -> None:
    """Raise `InputError` unless a file has the bytes of data that its header announces.

    bound: "at least " if bytes beyond `wanted` were not counted to the end.
    """
    if found != wanted:
        bound = bound if found > wanted else ""
        raise InputError(f"{path}: holds {bound}{found} bytes of data, its header says {wanted}")
