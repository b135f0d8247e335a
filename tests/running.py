"""Running Snakemake in a clone of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import tiny
import yaml

ROOT = Path(__file__).parents[1]
CLONED = ("Snakefile", "rules", "workflow_scripts", "envs", "profiles")


def clone(folder: Path) -> dict[str, Any]:
    """Copy the workflow into `folder`, link the package, write the tiny cohort; returns its config.

    The package is linked so that what Numba compiles in one clone is compiled for all. Snakemake
    ends one timespan after its last job, also in each job of Slurm; those of the profiles suit
    longer runs.
    """
    for name in CLONED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    for profile in (folder / "profiles").glob("*/profile.yaml"):
        text = re.sub(r"(max-jobs-per-timespan: \d+)/\w+", r"\1/1s", profile.read_text())
        profile.write_text(text)
    (folder / "nodulenet").symlink_to(ROOT / "nodulenet")
    return tiny.write_cohort(folder)


def own_package(clone: Path) -> Path:
    """Give a clone a copy of the package that the test may change; returns its folder."""
    package = clone / "nodulenet"
    package.unlink()
    return Path(shutil.copytree(ROOT / "nodulenet", package))


def start(clone: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start Snakemake; the nodulenet of the clone goes before any that is installed."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(clone)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str], status: int) -> str:
    """Wait for Snakemake, which must exit with `status`; gives what it prints."""
    printed, _ = process.communicate()
    assert process.returncode == status, printed
    return printed


def run(clone: Path, *arguments: str) -> str:
    """Run Snakemake, which must succeed; gives what it prints."""
    return end(start(clone, *arguments), 0)


def fail(clone: Path, *arguments: str) -> str:
    """Run Snakemake, which must fail; gives what it prints."""
    return end(start(clone, *arguments), 1)


def plan(clone: Path, *arguments: str) -> set[str]:
    """What a run would do, as the messages of its jobs."""
    lines = run(clone, "--dry-run", *arguments).splitlines()
    return {line.partition(": ")[2] for line in lines if line.startswith("Job ") and ": " in line}


def configure(clone: Path, **changes: Any) -> None:
    """Change top keys of the clone's config.yaml."""
    path = clone / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def same_weights(a: Path, b: Path) -> bool:
    """Whether two weights.pt hold the same numbers."""
    import torch  # here, because conftest.py imports this module for every worker

    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in (a, b))
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
