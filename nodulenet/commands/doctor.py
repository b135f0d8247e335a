"""`nodulenet doctor`: whether what a run needs is there."""

import argparse
from pathlib import Path

from nodulenet.files import InputError


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "check that what a run needs is there, and say what to do about what is missing"
    more = (
        "Each line begins with ok, missing or optional (a run goes on without it). Exit status 1 if"
        " anything is missing."
    )
    parser = commands.add_parser("doctor", help=text, description=f"{text}. {more}")
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        metavar="YAML",
        help="config files in place of config.yaml, as for snakemake",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from nodulenet.doctor import examine

    missing = 0
    for finding in examine(options.configfile):
        print(f"{finding.state:<9} {finding.name}: {finding.text}", flush=True)
        missing += finding.state == "missing"
    if missing:
        raise InputError(f"doctor: missing: {missing}, see the lines above")
