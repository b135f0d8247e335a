"""`nodulenet demo`: run the workflow on the demo cohort, in a folder outside the clone."""

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from nodulenet.commands.options import add_command
from nodulenet.files import InputError, replacing, workflow_folder

SHIPPED = ("config.yaml", "demo.tsv", "demo_other.tsv")


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "write the demo's config and scan tables into a folder, and run the workflow there"
    parser = add_command(commands, "demo", run, text)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder to run in (default: the current one)",
    )
    parser.add_argument(
        "--cores", default="all", metavar="N", help="maximum number of cores (default: all)"
    )
    parser.add_argument(
        "snakemake",
        nargs="*",
        metavar="OPTION",
        help="options passed to snakemake, after a --: nodulenet demo -- --dry-run",
    )


def run(options: argparse.Namespace) -> None:
    """Write missing files, then replace this process with Snakemake.

    So its exit status is that of the command, and only Snakemake receives Ctrl-C.
    """
    workflow = workflow_folder()
    folder = options.output.absolute()
    write_shipped(workflow, folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow / "Snakefile")]
    command += ["--cores", options.cores, *options.snakemake]
    print(f"in {folder}: {shlex.join(command)}", flush=True)
    os.chdir(folder)
    os.execv(sys.executable, command)


def write_shipped(workflow: Path, folder: Path) -> None:
    """Copy the demo's config and scan tables into `folder`, unless they exist.

    Raises `InputError`, before anything is written, for an existing file with other content.
    """
    for name in SHIPPED:
        path = folder / name
        if path.exists() and path.read_bytes() != (workflow / name).read_bytes():
            raise InputError(
                f"{path}: exists and differs from the demo's file: name an empty folder with"
                " --output, or run yours with snakemake --snakefile"
                f" {shlex.quote(str(workflow / 'Snakefile'))}"
            )
    for name in SHIPPED:
        if not (folder / name).exists():
            with replacing(folder / name) as temporary:
                shutil.copyfile(workflow / name, temporary)
            print(f"wrote {folder / name}")
