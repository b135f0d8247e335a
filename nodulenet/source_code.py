"""The code that a job's result depends on: a digest of what its script imports of this package.

The rules of the workflow have it as a param, so that an edit reruns only what depends on it.
Imports are parsed from the source, nothing is imported; a file is read once per process.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
# Parsing all files with `ast` takes ten times as long, at every start of Snakemake.
FROM = re.compile(r"^[ \t]*from (nodulenet[\w.]*) import (\([^)]*\)|[^\n]+)", re.M)
PLAIN = re.compile(r"^[ \t]*import (nodulenet[^\n#]*)", re.M)
COMMENT = re.compile(r"#[^\n]*")


def code_digest(script: Path | str, without: Collection[str] = ()) -> str:
    """Digest of the modules that a script imports, also indirectly, and of the data beside them.

    without: modules to ignore. The package's own `__init__` is ignored too: it contains only the
    version, which affects no result.
    """
    whole = hashlib.sha256()
    for path in sorted(code_files(Path(script), without)):
        whole.update(path.relative_to(PACKAGE).as_posix().encode() + _file_digest(path))
    return whole.hexdigest()[:16]


def code_files(script: Path, without: Collection[str] = ()) -> set[Path]:
    """The modules of this package that a script imports, and the data files beside them.

    Raises `ValueError` if a module to ignore does not exist.
    """
    if unknown := [name for name in without if module_file(name) is None]:
        raise ValueError(f"there is no module {unknown[0]}")
    found: set[Path] = set()
    pending = [script]
    while pending:
        for name in imported_modules(pending.pop()) - set(without):
            path = module_file(name)
            if path and path not in found:
                found.add(path)
                pending.append(path)
    return found.union(*(_data_beside(folder) for folder in {path.parent for path in found}))


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Names of the modules of this package that a file imports anywhere in it.

    A name that a package's `__init__` re-exports is resolved to the module that defines it.
    """
    text = path.read_text(encoding="utf-8")
    names = {defining_module(module, name) for module, name, _ in _imported_names(text)}
    names |= {name.split()[0] for line in PLAIN.findall(text) for name in line.split(",")}
    return frozenset(names - {PACKAGE.name})


def defining_module(module: str, name: str) -> str:
    """The module that defines what `from module import name` gives."""
    if module_file(f"{module}.{name}"):
        return f"{module}.{name}"
    passed_on = _passed_on(module)
    return defining_module(*passed_on[name]) if name in passed_on else module


@cache
def _passed_on(package: str) -> dict[str, tuple[str, str]]:
    """Name in a package -> module and name that its `__init__` imports it from."""
    path = module_file(package)
    if path is None or path.name != "__init__.py":
        return {}
    names = _imported_names(path.read_text(encoding="utf-8"))
    return {new: (module, name) for module, name, new in names}


def _imported_names(text: str) -> Iterator[tuple[str, str, str]]:
    """Module, name and local name of everything imported from this package."""
    for module, names in FROM.findall(text):
        for part in COMMENT.sub("", names).strip("() \t\n").split(","):
            if words := part.split():
                yield module, words[0], words[-1]


@cache
def module_file(name: str) -> Path | None:
    """The file of a module of this package; None if there is no such module."""
    place = PACKAGE.joinpath(*name.split(".")[1:])
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


@cache
def _data_beside(folder: Path) -> frozenset[Path]:
    """Templates, tables and other files of a package's folder that are not Python."""
    files = (path for path in folder.iterdir() if path.is_file())
    return frozenset(f for f in files if f.suffix not in (".py", ".pyc") and f.name[0] != ".")


@cache
def _file_digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
