"""Files that are whole or absent, and the error that a fault in the input raises."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLES = 3
UID = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_LENGTH = 64
REASON_LENGTH = 200  # of a parser's message, which may be pages long


class InputError(Exception):
    """A fault in the user's input. The message is one line that names the file and the fault."""


def examples(values: Sequence[str], of: int | None = None) -> str:
    """The first few, for a message, with dots if there are more; `of`: how many there are."""
    shown = [str(value) for value in values[:EXAMPLES]]
    more = len(values) if of is None else of
    return ", ".join(shown) + (", ..." if more > len(shown) else "")


class CorruptArtefact(InputError):
    """A file that this package wrote and that is now damaged: truncated, altered, or missing.

    files: what to set aside: the damaged file and, last, the file to request from the workflow to
    recreate it; if one step makes several files, that is the one that the next step waits for.
    """

    def __init__(self, message: str, *files: Path | str) -> None:
        super().__init__(message)
        self.files = tuple(map(Path, files))


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Within it, the message of an `InputError` gets the source of the fault before it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


@contextmanager
def opening(path: Path | str) -> Iterator[None]:
    """Within it, a file that the system refuses becomes an `InputError` that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def require_columns(found: Container[str], wanted: Iterable[str], path: Path | str) -> None:
    """Raise `InputError` naming the file and the columns that its table lacks."""
    if missing := [name for name in wanted if name not in found]:
        raise InputError(f"{path}: no column {', '.join(missing)}")


@contextmanager
def own_artefact(path: Path | str, *aside: Path | str) -> Iterator[None]:
    """Reading `path`, a file that this package wrote: a fault in it becomes a `CorruptArtefact`.

    aside: what to set aside for it, by default the file alone. Any exception counts, as parsers
    may raise any for a damaged file. A file that exists and cannot be opened is an `InputError`.
    """
    files = aside or (path,)
    try:
        yield
    except (CorruptArtefact, MemoryError):
        raise
    except InputError as error:
        if _cannot_open(error.__cause__):
            raise
        raise CorruptArtefact(str(error), *files) from error
    except Exception as error:
        if isinstance(error, OSError) and _cannot_open(error):
            raise InputError(f"{path}: {error.strerror}") from error
        if isinstance(error, FileNotFoundError):
            raise CorruptArtefact(f"{path}: {error.strerror}", *files) from error
        fault = f"{path}: damaged or cut short: {reason_of(error)}"
        raise CorruptArtefact(fault, *files) from error


def reason_of(error: Exception) -> str:
    """A library's message in one line, or the kind of the error where it has none."""
    return " ".join(str(error).split())[:REASON_LENGTH] or type(error).__name__


def _cannot_open(error: BaseException | None) -> bool:
    """Whether the system refused a file, rather than a parser its content (an invalid seek)."""
    other = (None, errno.EINVAL, errno.ENOENT)
    return isinstance(error, OSError) and error.errno not in other


def set_aside(path: Path | str) -> Path | None:
    """Rename a file or folder to NAME.corrupt, replacing an earlier one; return the new name.

    None if that is impossible: another job has just done it, or the folder is write-protected.
    """
    path = Path(path)
    target = path.with_name(f"{path.name}.corrupt")
    if not path.exists():
        return None
    try:
        if target.is_dir():
            shutil.rmtree(target)
        return path.replace(target)
    except OSError:
        return None


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it at the end and removed on failure.

    The temporary name keeps the file's suffixes, which decide the format. A full disk names no
    file: the `OSError` gets the name of `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            raise OSError(errno.EIO, f"not written whole: {error}", str(path)) from error
        if error.filename in (None, temporary, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def walk_folders(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder at and below one with the names of its files, sorted.

    Symbolic links to folders are followed last; a folder is visited once, however many links lead
    to it. Raises `InputError` naming a folder that cannot be listed.
    """
    seen: set[str] = set()
    pending, links = [Path(folder)], list[Path]()
    while pending or links:
        place = pending.pop() if pending else links.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        with opening(place):
            entries = sorted(os.scandir(place), key=lambda entry: entry.name, reverse=True)
        folders = [entry for entry in entries if entry.is_dir()]
        pending += [place / entry.name for entry in folders if not entry.is_symlink()]
        links += [place / entry.name for entry in folders if entry.is_symlink()]
        yield place, sorted(entry.name for entry in entries if not entry.is_dir())


def require_uid(uid: str, path: Path | str) -> str:
    """A series UID from a file's header, checked so that it can be used as a file name.

    Raises `InputError` naming the file unless it is digits and dots, at most 64 characters.
    """
    if len(uid) > UID_LENGTH or not UID.fullmatch(uid):
        shown = uid if len(uid) <= UID_LENGTH else f"{uid[:UID_LENGTH]}..."
        raise InputError(
            f"{path}: names the series {shown!r}, which is not a UID (digits and dots)"
        )
    return uid


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a JSON object that this package wrote.

    Raises `CorruptArtefact` naming the file if it is missing or malformed.
    """
    with own_artefact(path):
        try:
            content = json.loads(Path(path).read_bytes())
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise InputError(f"{path}: holds no JSON object")
        return content


def sha256(path: Path | str) -> str:
    """SHA-256 of a file as a hexadecimal string."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def workflow_folder(package: Path = Path(__file__).parent) -> Path:
    """The folder that holds Snakefile, rules and config files: the wheel's, else the clone's root.

    Raises `InputError` where there is neither.
    """
    for folder in (package / "workflow", package.parent):
        if (folder / "Snakefile").is_file() and (folder / "rules").is_dir():
            return folder
    raise InputError(
        f"{package}: the workflow is neither in it nor beside it: install the wheel, or a clone"
        " with pip install -e"
    )
