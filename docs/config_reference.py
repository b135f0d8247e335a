"""The reference of the config, made while MkDocs builds the site.

Keys and types come from the schema, defaults and meanings from config.yaml and its comments, the
other two columns from lidc.yaml and released.yaml. Nothing is written here by hand that is there.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from nodulenet.settings import overlay

ROOT = Path(__file__).parents[1]
MARK = "<!-- the keys of the config -->"
FILES = ("lidc.yaml", "luna16.yaml", "released.yaml")
KEY = re.compile(r"( *)(\w+):(?: |$)")
HEAD = "| key | type | default | meaning | published | released code |\n" + "| --- " * 6 + "|"
TYPES = {"integer": "whole number", "string": "text", "boolean": "`true` or `false`"}
LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "in steps of {}",
}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the reference in the place of its mark; called by MkDocs for every page."""
    return markdown.replace(MARK, render()) if MARK in markdown else markdown


def render() -> str:
    """A table a section of the config, and the shipped files that lie over it."""
    schema, text = load("rules/schemas/config.schema.yaml"), (ROOT / "config.yaml").read_text()
    told, default = meanings(text), yaml.safe_load(text)
    published = overlay(default, load("lidc.yaml"))
    columns = (default, published, overlay(published, load("released.yaml")))
    own = {key: part for key, part in schema["properties"].items() if "properties" not in part}
    parts = ["## At the top", "", HEAD]
    parts += [row(key, part, told, columns) for key, part in own.items()]
    for name, section in schema["properties"].items():
        if name in own:
            continue
        parts += ["", f"## `{name}`", "", told.get(name, ""), "", HEAD]
        parts += [
            row(f"{name}.{key}", p, told, columns) for key, p in section["properties"].items()
        ]
    for name in FILES:
        parts += ["", f"## {name}", "", "```yaml", (ROOT / name).read_text().rstrip(), "```"]
    return "\n".join(parts) + "\n"


def row(
    key: str, schema: Mapping[str, Any], told: Mapping[str, str], columns: tuple[Any, ...]
) -> str:
    """A line of a table; a value is left out where it is that of the column before."""
    values = [value_at(config, key) for config in columns]
    shown = [code(values[0])]
    for before, value in pairwise(values):
        shown.append("" if value == before else code(value))
    name, meaning = key.rpartition(".")[2], told.get(key, "").replace("|", "\\|")
    return f"| `{name}` | {kind(schema)} | {shown[0]} | {meaning} | {shown[1]} | {shown[2]} |"


def kind(schema: Mapping[str, Any]) -> str:
    """What values a key takes."""
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if schema["type"] == "object":
        return "table"
    if schema["type"] == "array":
        length = f"{schema['minItems']} " if "maxItems" in schema else ""
        return f"list of {length}{TYPES.get(schema['items']['type'], schema['items']['type'])}s"
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    text = " or ".join(
        "`null`" if name == "null" else TYPES.get(str(name), str(name)) for name in names
    )
    limits = [said.format(schema[name]) for name, said in LIMITS.items() if name in schema]
    # That a text is not empty goes without saying.
    return f"{text}, {' '.join(limits)}" if limits and "string" not in names else text


def code(value: Any) -> str:
    """A value as YAML has it; tables too long for a cell are with the files below."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"`{text}`" if len(text) < 60 else "see below"


def meanings(text: str) -> dict[str, str]:
    """Dotted key -> its comment in config.yaml: above it, beside it, and going on below."""
    found: dict[str, list[str]] = {}
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    key, column = "", -1
    for line in text.splitlines():
        content, mark, comment = line.partition("#")
        match = KEY.match(content)
        if match:
            indent = len(match[1])
            parents = [(depth, name) for depth, name in parents if depth < indent]
            key = ".".join([*(name for _, name in parents), match[2]])
            parents.append((indent, match[2]))
            found[key] = [*above, comment.strip()] if mark else above
            above, column = [], len(content) if mark else -1
        elif mark and len(content) == column:
            found[key].append(comment.strip())
        elif mark:
            above.append(comment.strip())
        else:
            above, column = [], -1
    return {key: " ".join(lines) for key, lines in found.items()}


def value_at(config: Any, key: str) -> Any:
    """The value at a dotted key."""
    for name in key.split("."):
        config = config[name]
    return config


def load(name: str) -> dict[str, Any]:
    """A YAML file of the repository."""
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return content
