"""`nodulenet doctor`: check whether everything that a run needs is available."""

import argparse
from pathlib import Path

from nodulenet.commands.options import add_command
from nodulenet.files import InputError


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "check whether everything that a run needs is available, and how to fix what is missing"
    more = (
        "Each line begins with ok, missing or optional (not needed for a run). The exit status is 1"
        " if anything is missing."
    )
    parser = add_command(commands, "doctor", run, text, more)
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        metavar="YAML",
        help="config files to read instead of config.yaml, as for snakemake",
    )


def run(options: argparse.Namespace) -> None:
    from nodulenet.doctor import examine

    missing = 0
    for finding in examine(options.configfile):
        print(f"{finding.state:<9} {finding.name}: {finding.text}", flush=True)
        missing += finding.state == "missing"
    if missing:
        raise InputError(f"doctor: missing: {missing}, see the lines above")
