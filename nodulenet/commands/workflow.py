"""`nodulenet workflow`: print the folder of the Snakefile, configs and profiles."""

import argparse

from nodulenet.commands.options import add_command
from nodulenet.files import workflow_folder


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "print the folder of the installed workflow: Snakefile, config files, profiles"
    more = 'To run it: snakemake --snakefile "$(nodulenet workflow)/Snakefile" --configfile YAML'
    add_command(commands, "workflow", run, text, more)


def run(options: argparse.Namespace) -> None:
    print(workflow_folder())
