"""The wheel: it holds the whole workflow, and runs it where there is no clone."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from importlib.util import cache_from_source
from pathlib import Path

import pytest
import tiny
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
BESIDE = ("rules", "workflow_scripts", "envs", "profiles")


def build(root: Path, kind: str, into: Path) -> Path:
    """Build the `wheel` or the `sdist` of a source tree, with what is installed here."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "-d", str(into)]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Iterator[Path]:
    """A new virtual environment with the wheel and what it requires: its folder of commands."""
    with tempfile.TemporaryDirectory() as folder:  # 2 GB, which pytest would keep
        venv.create(folder, symlinks=True)
        packages = Path(sysconfig.get_path("purelib", vars={"base": folder}))
        for needed in required_by(wheel):
            lend(needed, packages)
        pip = (sys.executable, "-m", "pip", "--python", folder, "install")
        run(*pip, "-c", ROOT / "envs/constraints.txt", wheel, cwd=wheel.parent)
        lend_loops(packages / "nodulenet")
        yield Path(folder).resolve() / "bin"


def required_by(wheel: Path) -> list[Distribution]:
    """What the wheel says that it requires, and what that requires, of this environment."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []
    pending, found = [(line, "") for line in lines], {}
    while pending:
        line, extra = pending.pop()
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate({"extra": extra}):
            for wanted in {"", *need.extras} - {k for name, k in found if name == need.name}:
                own = found[need.name, wanted] = distribution(need.name)
                pending += [(line, wanted) for line in own.requires or []]
    return list({own.name: own for own in found.values()}.values())


def lend(needed: Distribution, packages: Path) -> None:
    """Link the modules of an installed package, and what is compiled of them, into `packages`.

    pip finds it there and downloads and unpacks nothing. Commands are left out: they name their
    interpreter.
    """
    for file in needed.files or []:
        if file.parts[0] != ".." and file.suffix != ".pyc":
            old, new = Path(str(file.locate())), packages / file
            link(old, new)
            if file.suffix == ".py" and (compiled := Path(cache_from_source(str(old)))).exists():
                link(compiled, Path(cache_from_source(str(new))))


def link(old: Path, new: Path) -> None:
    """Make a hard link, or a copy on another file system."""
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(old, new)
    except OSError:
        shutil.copy2(old, new)


def lend_loops(package: Path) -> None:
    """Copy what Numba compiled for this clone, which holds for sources of the same time and size.

    An index goes before the compiled files that it names, as other tests may be adding to both.
    """
    own = ROOT / "nodulenet"
    for kind in ("*.py", "*.nbi", "*.nbc"):
        for path in own.rglob(kind):
            new = package / path.relative_to(own)
            assert path.suffix != ".py" or new.read_bytes() == path.read_bytes()
            new.parent.mkdir(exist_ok=True)
            shutil.copy2(path, new)


def held_by(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("nodulenet/")}


def run(*command: object, cwd: Path, status: int = 0, package: Path | None = None) -> str:
    """Run a command, with the `package` of a clone in reach or, as without a clone, none.

    Nor are the commands of the environment that the tests run in.
    """
    known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    own = Path(sys.executable).parent
    places = os.environ["PATH"].split(os.pathsep)
    known["PATH"] = os.pathsep.join(place for place in places if Path(place) != own)
    if package:
        known["PYTHONPATH"] = str(package)
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=known, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    return done.stdout


def test_the_wheel_holds_every_file_of_package_and_workflow(wheel: Path) -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    expected = set()
    for name in filter(lambda name: (ROOT / name).exists(), done.stdout.splitlines()):
        first, _, below = name.partition("/")
        is_config = not below and not first.startswith(".") and first.endswith((".yaml", ".tsv"))
        if first == "nodulenet":
            expected.add(name)
        elif first == "Snakefile" or first in BESIDE or is_config:
            expected.add(f"nodulenet/workflow/{name}")
    assert held_by(wheel) == expected


@pytest.mark.slow
def test_a_wheel_made_of_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = build(ROOT, "sdist", tmp_path / "source")
    shutil.unpack_archive(source, tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    (tmp_path / "wheel").mkdir()
    assert held_by(build(unpacked, "wheel", tmp_path / "wheel")) == held_by(wheel)


def write_tour(folder: Path) -> str:
    """Write two scans, and tour.yaml to lay over the demo's config; gives the pooled FROC's name.

    Little but not nothing is done: every process of a new environment compiles what it uses.
    """
    tiny.write_cohort(folder)
    rows = (folder / "scans.tsv").read_text().splitlines()
    (folder / "scans.tsv").write_text("\n".join(rows[:3]) + "\n")
    (folder / "config.yaml").unlink()
    stage = {"epochs": 1, "branches": ["ncs", "dfps", "sr"]}
    train = tiny.CONFIG["train"] | {"stages": {"only": stage}, "evaluate": ["only"]}
    (folder / "tour.yaml").write_text(yaml.safe_dump(tiny.CONFIG | {"train": train}))
    return "results/tiny/only/froc.json"


@pytest.mark.slow
def test_the_tiny_tour_without_a_clone(environment: Path, tmp_path: Path) -> None:
    froc = write_tour(tmp_path)
    own = ("--configfile", "tour.yaml", "--", froc)
    demo = (environment / "nodulenet", "demo", "--cores", 2, "--", *own)
    assert "config.yaml" in run(*demo, cwd=tmp_path)
    scored = json.loads((tmp_path / froc).read_text())["sets"]["ensemble"]
    assert (scored["scans"], scored["nodules"]) == (2, 3)
    folder = Path(run(environment / "nodulenet", "workflow", cwd=tmp_path).strip())
    assert folder.is_relative_to(environment.parent)
    # The profile beside the installed Snakefile is found, or --cores would be asked for.
    snakemake = (environment / "python", "-m", "snakemake", "--snakefile", folder / "Snakefile")
    assert "Nothing to be done" in run(*snakemake, *own, cwd=tmp_path)
    # The clone's rules find all of it up to date: digests, defaults and scripts are the same.
    clone = (sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run")
    assert "Nothing to be done" in run(*clone, *own, cwd=tmp_path, package=ROOT)
