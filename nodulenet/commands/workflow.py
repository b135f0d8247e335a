"""`nodulenet workflow`: print the folder of the Snakefile, configs and profiles."""

import argparse

from nodulenet.files import workflow_folder


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `nodulenet`."""
    text = "print the folder of the installed workflow: Snakefile, config files, profiles"
    more = 'To run it: snakemake --snakefile "$(nodulenet workflow)/Snakefile" --configfile YAML'
    parser = commands.add_parser("workflow", help=text, description=f"{text}. {more}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the folder."""
    print(workflow_folder())
