"""The reference of the config, generated from `nodulenet.settings` when MkDocs builds the site."""

from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from nodulenet.settings import Section, Settings, TrainSettings, read_config

ROOT = Path(__file__).parents[1]
MARK = "<!-- the keys of the config -->"
FILES = ("config.yaml", "lidc.yaml", "luna16.yaml", "released.yaml")
HEAD = "| key | type | published | released code | demo | meaning |\n" + "| --- " * 6 + "|"
TYPES = {"integer": "whole number", "string": "text", "boolean": "`true` or `false`"}
LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "in steps of {}",
}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace the mark by the reference; called by MkDocs for every page."""
    return markdown.replace(MARK, render()) if MARK in markdown else markdown


def render() -> str:
    """One table per section of the config, and the shipped files."""
    sections = {name: kind for name, kind in section_kinds().items() if kind is not None}
    own = [name for name in Settings.model_fields if name not in sections]
    parts = ["## At the top", "", HEAD, *(row("", name, Settings) for name in own)]
    for name, kind in sorted(sections.items(), key=lambda item: item[0] != "consensus"):
        parts += ["", f"## `{name}`", "", one_line(kind.__doc__ or ""), "", HEAD]
        parts += [row(name, key, kind) for key in kind.model_fields]
    parts += ["", "## The published stages", "", "```yaml", published_stages(), "```"]
    for name in FILES:
        parts += ["", f"## {name}", "", "```yaml", (ROOT / name).read_text().rstrip(), "```"]
    return "\n".join(parts) + "\n"


def section_kinds() -> dict[str, type[Section] | None]:
    """Top-level key of the config -> the class of its section, or of each of its named sections;
    None for a plain key."""
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    kinds = {
        name: get_args(kind)[1] if get_origin(kind) is dict else kind
        for name, kind in kinds.items()
    }
    return {
        name: kind if isinstance(kind, type) and issubclass(kind, Section) else None
        for name, kind in kinds.items()
    }


def row(section: str, key: str, kind: type[Section]) -> str:
    """A row of a table: the published value, and the others if they differ."""
    schema = kind.model_json_schema()["properties"][key]
    field = kind.model_fields[key]
    published = "" if field.is_required() else code(default_of(kind, key))
    others = [code_of(name, section, key) for name in ("released.yaml", "config.yaml")]
    meaning = one_line(field.description or "").replace("|", "\\|")
    cells = [f"`{key}`", type_of(schema), published, *others, meaning]
    return f"| {' | '.join(cells)} |"


def published_stages() -> str:
    """`train.stages` as published, in YAML."""
    stages = TrainSettings().plain("stages")["stages"].items()
    return "\n".join(f"{name}: {code(stage)[1:-1]}" for name, stage in stages)


def default_of(kind: type[Section], key: str) -> Any:
    """The published value of a key."""
    if kind is TrainSettings:
        return TrainSettings().plain(key)[key]
    return kind.model_fields[key].get_default(call_default_factory=True)


def code_of(name: str, section: str, key: str) -> str:
    """The value of a key in a shipped file; empty if the file does not set it."""
    config = read_config([ROOT / name])
    config = config.get(section, {}) if section else config
    return code(config[key]) if key in config else ""


def type_of(schema: dict[str, Any]) -> str:
    """The type of a key, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(type_of(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if "$ref" in schema:
        return "section"
    if schema["type"] == "null":
        return "`null`"
    if schema["type"] == "object":
        return "table"
    if schema["type"] == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        length = f"{schema['maxItems']} " if "maxItems" in schema else ""
        name = "name" if items["type"] == "string" else TYPES.get(items["type"], items["type"])
        return f"list of {length}{name}s"
    limits = [said.format(f"{schema[name]:g}") for name, said in LIMITS.items() if name in schema]
    return ", ".join(filter(None, [TYPES.get(schema["type"], schema["type"]), " ".join(limits)]))


def code(value: Any) -> str:
    """A value in YAML; values too long for a cell are shown below the tables."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"`{text}`" if len(text) < 60 else "see below"


def one_line(text: str) -> str:
    """A docstring on one line."""
    return " ".join(text.split())
