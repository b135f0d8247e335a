"""Running Snakemake in a clone of the repository."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml


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
