"""Checks of Python and the packages that nodulenet requires, by their metadata only."""

import re
import shutil
import sys
from importlib import metadata

from nodulenet.doctor.finding import Check, install

PYTHON = (3, 11)
OWN_LINES = ("snakemake", "torch")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Whether the interpreter is recent enough."""
    found = ".".join(map(str, version))
    if version >= PYTHON:
        return Check("ok", "Python", found)
    wanted = ".".join(map(str, PYTHON))
    return Check("missing", "Python", f"{found}, too old: make the environment with {wanted}")


def check_snakemake() -> Check:
    """Whether Snakemake is installed in the version required, and its command is found."""
    minimum = required().get("snakemake", "")
    if fault := package_fault("snakemake", minimum):
        return Check("missing", "Snakemake", f"{fault}: {install()}")
    command = shutil.which("snakemake")
    if command is None:
        text = "its command is not on the PATH: activate the environment that it is installed in"
        return Check("missing", "Snakemake", text)
    return Check("ok", "Snakemake", f"{metadata.version('snakemake')}, {command}")


def check_packages() -> list[Check]:
    """One finding per other package that is missing or too old, or one that all are installed."""
    wanted = required()
    if not wanted:
        return [Check("missing", "nodulenet", f"not installed: {install()}")]
    others = {name: minimum for name, minimum in wanted.items() if name not in OWN_LINES}
    faults = {name: package_fault(name, minimum) for name, minimum in others.items()}
    found = [
        Check("missing", name, f"{fault}: {install()}") for name, fault in faults.items() if fault
    ]
    return found or [Check("ok", "packages", f"{len(others)} others as required")]


def required() -> dict[str, str]:
    """Package -> minimum version that nodulenet requires; empty if nodulenet is not installed."""
    try:
        lines = metadata.requires("nodulenet") or []
    except metadata.PackageNotFoundError:
        return {}
    plain = (line.split(";")[0].strip() for line in lines if "extra ==" not in line)
    parts = (
        re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?\s*(?:>=\s*([0-9.]+))?", line) for line in plain
    )
    return {part.group(1): part.group(2) or "" for part in parts if part}


def package_fault(name: str, minimum: str) -> str:
    """What is wrong with an installed package, or ""."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
    if numbers(version) < numbers(minimum):
        return f"{version} is older than {minimum}"
    return ""


def numbers(version: str) -> list[int]:
    """The leading numbers of a version, which sort as versions do."""
    return [int(part) for part in re.split(r"[^0-9.]", version)[0].split(".") if part]
