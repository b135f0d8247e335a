"""The wheel: it holds the whole workflow, and runs it where there is no clone."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import tiny

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
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel and what it requires: its folder of commands."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet"]
    subprocess.run([*pip, "-c", str(ROOT / "envs/constraints.txt"), str(wheel)], check=True)
    return folder / "bin"


def held_by(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("nodulenet/")}


def run(*command: object, cwd: Path, status: int = 0, package: Path | None = None) -> str:
    """Run a command, with the `package` of a clone in reach or, as without a clone, none."""
    known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
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


def test_a_wheel_made_of_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = build(ROOT, "sdist", tmp_path / "source")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    (tmp_path / "wheel").mkdir()
    assert held_by(build(unpacked, "wheel", tmp_path / "wheel")) == held_by(wheel)


def test_the_tiny_tour_without_a_clone(environment: Path, tmp_path: Path) -> None:
    tiny.write_cohort(tmp_path)
    (tmp_path / "config.yaml").rename(tmp_path / "tiny.yaml")
    nodulenet, snakemake = environment / "nodulenet", environment / "snakemake"
    tour = ("demo", "--cores", 2, "--", "--configfile", "tiny.yaml")
    run(nodulenet, *tour, cwd=tmp_path)
    froc = json.loads((tmp_path / "results/tiny/full/froc.json").read_text())
    assert froc["sets"]["ensemble"]["nodules"] == 4
    assert (tmp_path / "results/tiny/figures/timings.svg").stat().st_size
    folder = Path(run(nodulenet, "workflow", cwd=tmp_path).strip())
    assert folder.is_relative_to(environment.parent)
    # The profile beside the installed Snakefile is found: --cores is asked for without it.
    own = ("--configfile", "tiny.yaml", "--dry-run", "--snakefile")
    assert "Nothing to be done" in run(snakemake, *own, folder / "Snakefile", cwd=tmp_path)
    # The clone's rules find all of it up to date: the same digests, the same schemas.
    clone = (sys.executable, "-m", "snakemake", *own, ROOT / "Snakefile")
    assert "Nothing to be done" in run(*clone, cwd=tmp_path, package=ROOT)
    assert "no_such_file" in run(nodulenet, *tour, "no_such_file", cwd=tmp_path, status=1)
