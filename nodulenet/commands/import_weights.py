"""`nodulenet import-weights`: convert a published checkpoint into a weights file."""

import argparse
from pathlib import Path

from nodulenet.commands.options import add_command, add_path


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "convert a checkpoint of the published NoduleNet implementation into a weights file"
    parser = add_command(commands, "import-weights", run, text)
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="checkpoint, a torch file")
    add_path(parser, "--output", "PT", "weights file to write")


def run(options: argparse.Namespace) -> None:
    from nodulenet.model.released import UNUSED, import_weights

    provenance = import_weights(options.checkpoint, options.output)
    print(
        f"{options.output}: the network of {options.checkpoint} after {provenance.epochs} epochs;"
        f" {len(UNUSED)} tensors that it does not use were omitted"
    )
