"""Files that are whole or absent, and the error that a fault in the input raises."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLES = 3


class InputError(Exception):
    """A fault in the user's input. The message is one line that names the file and the fault."""


def examples(values: Sequence[str], of: int | None = None) -> str:
    """The first few for a message, with dots where there are more; `of` is how many there are."""
    shown = [str(value) for value in values[:EXAMPLES]]
    more = len(values) if of is None else of
    return ", ".join(shown) + (", ..." if more > len(shown) else "")


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it at the end and removed on failure.

    The temporary name keeps the file's suffixes, since writers choose the format by them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read JSON. Raises `InputError` naming the file when it is missing or malformed."""
    try:
        return json.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error


def sha256(path: Path | str) -> str:
    """SHA-256 of a file as a hexadecimal string."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
