"""The command line: `nodulenet --help` lists the commands.

Exit status 0, 1 for a fault in the input (one line on stderr) or 2 for wrong usage. Each
command imports the packages it needs, so that `--help` is fast.
"""

import argparse
import sys
from collections.abc import Sequence

from nodulenet import __version__
from nodulenet.commands import (
    compare_annotations,
    compare_excluded,
    consensus,
    demo,
    doctor,
    export_weights,
    froc,
    import_weights,
    index,
    predict,
    schema,
    synthetic,
    train,
    workflow,
)
from nodulenet.files import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
        return 0
    except InputError as error:
        fault = " ".join(str(error).split())
    except OSError as error:
        # The error of a full disk or a closed pipe names no file: it concerns the output.
        path = error.filename or vars(options).get("output", "standard output")
        fault = f"{path}: {error.strerror or error}"
    # Outside the handlers: a progress bar ends its line when the exception is released.
    print(f"nodulenet: {fault}", file=sys.stderr)
    return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run`, a function of the parsed options."""
    parser = argparse.ArgumentParser(
        prog="nodulenet",
        description="Lung nodules in CT: annotations, consensus, training, prediction and scores.",
    )
    parser.add_argument("--version", action="version", version=f"nodulenet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in (
        *(index, consensus, compare_annotations, compare_excluded, froc, predict),
        *(import_weights, export_weights, train, doctor, schema, demo, synthetic, workflow),
    ):
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
