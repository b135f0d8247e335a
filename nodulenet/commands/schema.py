"""`nodulenet schema`: the config's JSON schema, for editors."""

import argparse
import json
from typing import Any

from nodulenet.commands.options import add_command


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = "print the JSON schema of the config, with which editors complete and check keys"
    add_command(commands, "schema", run, text)


def run(options: argparse.Namespace) -> None:
    """Print the schema. No key is required, since one file may lack what another contains."""
    from nodulenet.settings import Settings

    print(json.dumps(without_required(Settings.model_json_schema()), indent=1))


def without_required(schema: Any) -> Any:
    """A JSON schema without its lists of required keys."""
    if isinstance(schema, list):
        return [without_required(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_required(part) for key, part in schema.items() if key != "required"}
