"""The code that decides a job's result: what its script imports of this package, as one digest.

The rules of the workflow hold it as a parameter, so that an edit reruns what it decides and nothing
else. Imports are read from the source, nothing is imported; a file is read once per process.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
# Parsing all files takes ten times as long, and every start of Snakemake waits for it.
FROM = re.compile(r"^[ \t]*from (nodulenet[\w.]*) import (\([^)]*\)|[^\n]+)", re.M)
PLAIN = re.compile(r"^[ \t]*import (nodulenet[^\n#]*)", re.M)
COMMENT = re.compile(r"#[^\n]*")


def code_digest(script: Path | str, without: Collection[str] = ()) -> str:
    """Digest of the modules that a script imports, directly or not, and of the data beside them.

    without: modules that are passed over. Of the package's own `__init__` only the version would be
    seen, which decides no result.
    """
    whole = hashlib.sha256()
    for path in sorted(code_files(Path(script), without)):
        whole.update(path.relative_to(PACKAGE).as_posix().encode() + _file_digest(path))
    return whole.hexdigest()[:16]


def code_files(script: Path, without: Collection[str] = ()) -> set[Path]:
    """The modules of this package that a script imports, and the data files beside them.

    Raises `ValueError` where a module to be passed over does not exist.
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

    A name that a package's `__init__` only passes on stands for the module that defines it.
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
    """Module, name, and what it is called here, of all that is imported from this package."""
    for module, names in FROM.findall(text):
        for part in COMMENT.sub("", names).strip("() \t\n").split(","):
            if words := part.split():
                yield module, words[0], words[-1]


@cache
def module_file(name: str) -> Path | None:
    """The file of a module of this package; None where there is no such module."""
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
