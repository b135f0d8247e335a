"""Share of small deliberate errors (mutants) in a package that its own tests detect.

python -m benchmarks.mutation boxes [--sample 100] [--seed 0] [--results mutants.tsv]
(needs `pip install cosmic-ray==8.7.0`; of `annotations` only the consensus is mutated)

The mutants are made by Cosmic Ray's operators: each changes one number, comparison, operator,
condition, loop, constant or exception, but not in a type annotation or a decorator. A random sample
is tested, one by one, in a copy of the working tree, with the package's own tests and, if known,
only with the files that call the changed function. A mutant is detected if a test fails or the
tests need more than twice their CPU time. --results keeps the outcomes: mutants detected before are
not tested again, survivors are.
"""

import argparse
import ast
import csv
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from difflib import ndiff
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

MODULES = {"annotations": "consensus*.py"}
HEAVY = ("cv2", "hypothesis", "numba", "pandas", "pytest", "scipy.ndimage", "SimpleITK", "torch")
MEMORY = 8 << 30
LEFT_OUT = shutil.ignore_patterns(".git", ".*_cache", "results", "logs", "__pycache__")


class Mutant(NamedTuple):
    """The n-th place in a module, counted from 0, where an operator of Cosmic Ray applies."""

    module: str
    line: int
    operator: str
    n: int


class Tests(NamedTuple):
    """A test file: its CPU time in s, and `module:line` of the functions it calls."""

    seconds: float
    calls: frozenset[str]


def spared(source: str) -> set[tuple[int, int]]:
    """Lines and columns of type annotations and decorators."""
    parts: list[Any] = []
    for node in ast.walk(ast.parse(source)):
        parts += [getattr(node, name, None) for name in ("annotation", "returns")]
        parts += getattr(node, "decorator_list", [])
    return {
        (line, column)
        for part in filter(None, parts)
        for line in range(part.lineno, part.end_lineno + 1)
        for column in range(part.col_offset if line == part.lineno else 0, 200)
        if line < part.end_lineno or column < part.end_col_offset
    }


def mutants(root: Path, package: str) -> Iterator[Mutant]:
    """Every mutant of a package's modules."""
    for path in sorted((root / "nodulenet" / package).glob(MODULES.get(package, "*.py"))):
        source = path.read_text()
        out, nodes = spared(source), list(ast_nodes(get_ast(source)))
        for name in operator_names():
            operator = get_operator(name)
            if operator.arguments() or name == "core/RemoveDecorator":
                continue
            places = (place for node in nodes for place in operator().mutation_positions(node))
            for n, (start, _) in enumerate(places):
                if start not in out:
                    yield Mutant(str(path.relative_to(root)), start[0], name, n)


def place(root: Path, mutant: Mutant) -> str | None:
    """`module:line` of the function around a mutant.

    None outside functions and in compiled ones, whose calls Python does not see.
    """
    nodes = ast.walk(ast.parse((root / mutant.module).read_text()))
    around = [
        node
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and node.lineno <= mutant.line <= (node.end_lineno or 0)
    ]
    if not around or any("jit" in ast.dump(d) for node in around for d in node.decorator_list):
        return None
    inner = max(around, key=lambda node: node.lineno)
    first = min([inner.lineno, *(d.lineno for d in inner.decorator_list)])
    return f"{mutant.module}:{first}"


def in_a_fork(root: Path, files: list[Path], cache: Path, limit: float, calls: str | None) -> None:
    """Run tests and exit with their status; optionally write the functions that they call."""
    os.setsid()
    os.chdir(root)
    os.environ.update(PYTHONPATH=str(root), NUMBA_CACHE_DIR=str(cache))
    importlib.import_module("numba").config.reload_config()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
    signal.alarm(20 * int(limit))  # tests that only wait use no processor time
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    called = set()
    if calls:
        sys.setprofile(lambda frame, event, _: called.add(frame.f_code))
        threading.setprofile(sys.getprofile())
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    status = importlib.import_module("pytest").main([*options, *map(str, files)])
    sys.setprofile(None)
    if calls:
        own = [code for code in called if code.co_filename.startswith(f"{root}/nodulenet/")]
        names = [f"{Path(c.co_filename).relative_to(root)}:{c.co_firstlineno}" for c in own]
        Path(calls).write_text(json.dumps(names))
    os._exit(status)


def run_tests(
    root: Path, files: list[Path], cache: Path, limit: float = 3600, calls: str | None = None
) -> tuple[int, float]:
    """Exit status of tests in a separate process, and their CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not (child := os.fork()):
        in_a_fork(root, files, cache, limit, calls)
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return status, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def survey(root: Path, package: str, cache: Path) -> dict[Path, Tests]:
    """The package's test files, which must pass, with the functions they call and their CPU
    time."""
    found = {}
    calls = f"{cache}.calls"
    for file in sorted((root / "tests" / package).glob("test_*.py")):
        status, seconds = run_tests(root, [file], cache, calls=calls)
        if status:
            raise SystemExit(f"{file.name} fails without a mutant")
        found[file] = Tests(seconds, frozenset(json.loads(Path(calls).read_text())))
    return found


def users(path: Path) -> set[str]:
    """Modules of a module's package that import it, directly or indirectly, and the module
    itself."""
    package = f"nodulenet.{path.parent.name}"
    texts = {other.stem: other.read_text() for other in path.parent.glob("*.py")}
    found, more = set(), {path.stem}
    while more:
        found |= more
        imports = [f"from {package}.{stem} import" for stem in found]
        more = {stem for stem, text in texts.items() if any(i in text for i in imports)} - found
    return found


def surviving_change(root: Path, mutant: Mutant, tests: dict[Path, Tests], cache: Path) -> str:
    """The changed lines of a mutant that no test detects; nothing for a detected one."""
    path, around = root / mutant.module, place(root, mutant)
    files = [file for file, t in tests.items() if around is None or around in t.calls]
    files.sort(key=lambda file: (path.stem.rstrip("s") not in file.stem, tests[file].seconds))
    source = path.read_text()
    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.n)
    status = 0
    if files:
        with tempfile.TemporaryDirectory() as own:
            shutil.copytree(cache, own, dirs_exist_ok=True)
            for stem in users(path):  # Numba does not see a change of what a function calls
                for compiled in Path(own).glob(f"{path.parent.name}_*/{stem}.*"):
                    compiled.unlink()
            before = path.stat()
            path.write_text(changed)
            limit = 10 + 2 * sum(tests[file].seconds for file in files)
            status, _ = run_tests(root, files, Path(own), limit)
            path.write_text(source)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # by which Numba goes
    lines = ndiff(source.splitlines(), changed.splitlines())
    return "" if status else " ".join(" ".join(line.split()) for line in lines if line[0] in "+-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package")
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path(os.devnull))
    options = parser.parse_args()
    known = {}
    if options.results.is_file():
        with options.results.open(newline="") as file:
            known = {tuple(row[:4]): row[4] for row in csv.reader(file, delimiter="\t")}
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "tree"), Path(folder, "cache")
        cache.mkdir()
        shutil.copytree(".", root, ignore=LEFT_OUT)
        drawn = list(mutants(root, options.package))
        random.Random(options.seed).shuffle(drawn)
        tests = survey(root, options.package, cache)
        seconds = sum(t.seconds for t in tests.values())
        print(f"{len(drawn)} mutants; the tests take {seconds:.0f} s of CPU time", flush=True)
        caught = 0
        for tried, mutant in enumerate(drawn[: options.sample], 1):
            change = ""
            if known.get(tuple(map(str, mutant))) != "caught":
                change = surviving_change(root, mutant, tests, cache)
                with options.results.open("a", newline="") as file:
                    row = [*mutant, "survived" if change else "caught", change]
                    csv.writer(file, delimiter="\t").writerow(row)
            caught += not change
            print(f"{caught} of {tried} found", *([*mutant, change] if change else ()), flush=True)


if __name__ == "__main__":
    main()
