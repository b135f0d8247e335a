"""How many bytes of voxels a file holds, and whether its header says the same."""

import math
import zlib
from io import BufferedIOBase
from pathlib import Path

from nodulenet.files import InputError

CHUNK = 1 << 22


def inflated(path: Path, file: BufferedIOBase, window: int, wanted: float = math.inf) -> int:
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


def counted(file: BufferedIOBase, wanted: int) -> int:
    """Bytes from here to the end of a file, counted to a little beyond those `wanted`."""
    size = 0
    while size <= wanted and (chunk := file.read(CHUNK)):
        size += len(chunk)
    return size


def require_size(path: Path, held: int, wanted: int, bound: str = "") -> None:
    """Raise `InputError` unless a file holds the bytes of data that its header announces.

    `bound` says that what was found beyond `wanted` was not counted to its end.
    """
    if held != wanted:
        bound = bound if held > wanted else ""
        raise InputError(f"{path}: holds {bound}{held} bytes of data, its header says {wanted}")
