"""`nodulenet workflow`: where the Snakefile and what belongs to it lie."""

import argparse
from pathlib import Path

from nodulenet.files import InputError

PACKAGE = Path(__file__).parents[1]


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `nodulenet`."""
    text = "print the folder of the installed workflow: Snakefile, config files, profiles"
    more = 'To run it: snakemake --snakefile "$(nodulenet workflow)/Snakefile" --configfile YAML'
    parser = commands.add_parser("workflow", help=text, description=f"{text}. {more}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the folder."""
    print(find_workflow())


def find_workflow(package: Path = PACKAGE) -> Path:
    """The folder that holds Snakefile and rules: the wheel's, else the root of the clone.

    Raises `InputError` where there is neither.
    """
    for folder in (package / "workflow", package.parent):
        if (folder / "Snakefile").is_file() and (folder / "rules").is_dir():
            return folder
    raise InputError(
        f"{package}: the workflow is neither in it nor beside it: install the wheel, or a clone"
        " with pip install -e"
    )
