"""Seeded damage to files: text, bytes, DICOM tags."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
NUMBERS = (
    b"-1",
    b"0",
    b"1e309",
    b"nan",
    b"-inf",
    b"99999999999",
    b"1e7",
    b"",
    b"1,5",
    b"0x10",
    b"A",
)
WORD = re.compile(rb"[A-Za-z]{3,}")
TAGS = {
    "ImagePositionPatient": ([0, 0, 1e9], [0, 0], None, [0, 0, 2]),
    "ImageOrientationPatient": ([0] * 6, [1, 0, 0], None, [1, 0, 0, 1, 0, 0], [1e20] * 6),
    "PixelSpacing": ([0, 0], [-1, 1], [1e9, 1e9], None, [0.8]),
    "Rows": (0, 1, 65535, None),
    "Columns": (0, 7, 65535, None),
    "BitsAllocated": (8, 12, 32, 0, None),
    "PixelRepresentation": (0, 7, None),
    "SamplesPerPixel": (0, 3, None),
    "PhotometricInterpretation": ("RGB", "PALETTE COLOR", "", None),
    "RescaleSlope": (0, 1e30, "nan", "", None),
    "RescaleIntercept": (1e30, "inf", None),
    "SeriesInstanceUID": ("", "1.2.4", "../x", None),
    "Modality": ("MR", "", None),
    "NumberOfFrames": (2, 0, -1),
    "SliceThickness": (0, -1),
    "PixelData": (b"", b"\0" * 3, None),
}


def damage_text(content: bytes, generator: random.Random) -> bytes:
    """One fault in a text file."""
    return generator.choice(TEXT_FAULTS)(content, generator)


def damage_bytes(content: bytes, generator: random.Random, head: int) -> bytes:
    """One fault in a binary file, most often within its first `head` bytes."""
    end = head if generator.random() < 0.8 else len(content)
    start = generator.randrange(end)
    stop = min(start + generator.choice((1, 1, 2, 4, 16)), len(content))
    kind = generator.randrange(5)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + bytes(stop - start) + content[stop:]
    if kind == 2:
        return content[:start] + generator.randbytes(stop - start) + content[stop:]
    if kind == 3:
        return content[:start] + content[stop:]
    return _flipped(content, start, generator)


def damage_tag(path: Path, generator: random.Random) -> None:
    """Give one tag of a DICOM file a value that it should not have, or none."""
    data = pydicom.dcmread(path)
    name = generator.choice(sorted(TAGS))
    value: Any = generator.choice(TAGS[name])
    if value is None:
        delattr(data, name)
    else:
        with pydicom.config.disable_value_validation():
            setattr(data, name, value)
    data.save_as(path)


def _cut(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randrange(len(content))]


def _flip(content: bytes, generator: random.Random) -> bytes:
    return _flipped(content, generator.randrange(len(content)), generator)


def _flipped(content: bytes, at: int, generator: random.Random) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << generator.randrange(8)]) + content[at + 1 :]


def _remove(content: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(content))
    return content[:at] + content[at + generator.choice((1, 2, 5, 20)) :]


def _insert(content: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(content))
    junk = generator.choice(
        (b"\0", b"\xff\xfe", b"<", b'"', b"\t", b"\n\n", b"%s", generator.randbytes(8))
    )
    return content[:at] + junk + content[at:]


def _number(content: bytes, generator: random.Random) -> bytes:
    found = generator.choice(list(NUMBER.finditer(content)) or [re.match(b"", content)])
    return content[: found.start()] + generator.choice(NUMBERS) + content[found.end() :]


def _word(content: bytes, generator: random.Random) -> bytes:
    words = list(WORD.finditer(content)) or [re.match(b"", content)]
    found, other = generator.choice(words), generator.choice(words)
    return content[: found.start()] + other[0] + content[found.end() :]


def _lines(content: bytes, generator: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    at, other = generator.randrange(len(lines)), generator.randrange(len(lines))
    kind = generator.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] *= 3000
    return b"".join(lines)


def _encode(content: bytes, generator: random.Random) -> bytes:
    codec = generator.choice(("utf-16", "utf-32", "utf-8-sig", "cp500"))
    return content.decode("utf-8").encode(codec)


def _empty(content: bytes, generator: random.Random) -> bytes:
    return generator.choice((b"", b"\n", b" " * len(content), bytes(len(content))))


TEXT_FAULTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_cut, _flip, _remove, _insert, _number, _number, _number, _word, _word, _lines, _lines),
    *(_encode, _empty),
)
