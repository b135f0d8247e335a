"""The pages on files, config, commands and the network say what the code says."""

import argparse
import csv
import re
from pathlib import Path

import pages
import pytest
import tiny
import yaml

from docs import command_line, config_reference, network, outside_links
from nodulenet import scan_table
from nodulenet.annotations.challenge_csv import MARK_COLUMNS
from nodulenet.cli import build_parser
from nodulenet.cohort import folds, manifest, timings
from nodulenet.evaluation import nodules, readers, segmentation, transfer
from nodulenet.imaging import findings
from nodulenet.inference import table as predictions
from nodulenet.settings import TrainSettings, read_config, read_settings
from nodulenet.training import validation

FILES = (pages.ROOT / "docs/files.md").read_text()
CHOICES = (pages.ROOT / "docs/choices.md").read_text()
CONSTANTS = {
    "The scan table": scan_table.COLUMNS,
    "`nodules/{series}.csv`": findings.COLUMNS,
    "`manifest.tsv`": manifest.COLUMNS,
    "`folds.tsv`": folds.COLUMNS,
    "`fold{k}/{stage}/validation.tsv`": validation.COLUMNS,
    "`fold{k}/{stage}/predictions.csv`": predictions.COLUMNS,
    "`{stage}/nodules.csv`": ("set", "denominator", *nodules.NODULE_COLUMNS),
    "`{stage}/false_positives.csv`": ("set", "denominator", *nodules.FALSE_COLUMNS),
    "`{stage}/scans.csv`": ("set", "denominator", *nodules.SCAN_COLUMNS),
    "`{stage}/segmentation.csv`": segmentation.COLUMNS,
    "`{stage}/readers.csv`": segmentation.READER_COLUMNS,
    "`reader_pairs.csv`": readers.PAIR_COLUMNS,
    "`external/{name}/{stage}/groups.csv`": transfer.GROUP_COLUMNS,
    "`external/{name}/{stage}/reliability.csv`": (*transfer.BIN_COLUMNS, "cohort"),
    "`external/{name}/{stage}/operating_points.csv`": transfer.POINT_COLUMNS,
    "`hard_negatives.csv`": MARK_COLUMNS,
    "`timings.tsv`": timings.COLUMNS,
}
# What a running training or a broken run leaves, given weights, and other cohorts.
NOT_OF_THE_TINY_RUN = {
    "init.json",
    "hard_negatives.csv",
    "fold{k}/{stage}/given.json",
    "fold{k}/{stage}/validation.tsv",
} | {
    f"external/{{name}}/{{stage}}/{name}"
    for name in ("groups.csv", "reliability.csv", "operating_points.csv", "transfer.svg")
}


def sections() -> dict[str, str]:
    """The page on files: heading -> text below it."""
    parts = re.split(r"^## (.+)$", FILES, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def columns(text: str) -> list[str]:
    """The columns that a section's table names, in its order."""
    rows = re.findall(r"^\| (`.+?) \|", text, re.M)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def pattern(heading: str) -> str:
    """The heading's path as a regular expression."""
    parts = {"{series}": r"[\d.]+", "{k}": r"\d+", "{stage}": r"[a-z_]+", "{name}": r"\w+"}
    text = re.escape(heading.strip("`")).replace(r"\{", "{").replace(r"\}", "}")
    for name, value in parts.items():
        text = text.replace(name, value)
    return text + (r".+" if text.endswith("/") else "")


def paths() -> dict[str, str]:
    """Heading -> pattern of its path below the results, of those sections that are on files."""
    own = [name for name in sections() if name.startswith("`") and "nodulenet" not in name]
    return {name: pattern(name) for name in own}


@pytest.mark.parametrize("heading", CONSTANTS)
def test_the_page_has_the_columns_of_the_package(heading: str) -> None:
    assert columns(sections()[heading]) == list(CONSTANTS[heading])


def test_the_page_has_the_columns_of_a_finished_run(first_run: Path) -> None:
    stamp = columns(sections()["The stamp"])
    seen = set()
    for heading, of_path in paths().items():
        for path in (first_run / "results/tiny").rglob("*.[ct]sv"):
            if not re.fullmatch(of_path, str(path.relative_to(first_run / "results/tiny"))):
                continue
            text = sections()[heading]
            if re.search(r"same\s+columns", text):
                text = sections()["`fold{k}/{stage}/predictions.csv`"]
            told = columns(text) + (stamp if re.search(r"with\s+the\s+stamp", text) else [])
            with path.open() as file:
                head = next(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
            assert set(head) == set(told), path
            seen.add(heading)
    tables = {name for name in paths() if re.search(r"\.[ct]sv`", name)}
    assert seen == {name for name in tables if name.strip("`") not in NOT_OF_THE_TINY_RUN}


def test_the_page_has_every_file_of_a_finished_run(first_run: Path) -> None:
    results = first_run / "results/tiny"
    files = [path for path in results.rglob("*") if path.is_file()]
    names = [str(path.relative_to(results)) for path in files if path.name[0] != "."]
    assert len(names) > 20 * len(tiny.SERIES) / 4
    told = paths()
    untold = [n for n in names if not any(re.fullmatch(own, n) for own in told.values())]
    assert untold == []
    gone = [h for h, own in told.items() if not any(re.fullmatch(own, n) for n in names)]
    assert {heading.strip("`") for heading in gone} == NOT_OF_THE_TINY_RUN


def test_the_config_s_page_has_every_key_once() -> None:
    text = config_reference.on_page_markdown(config_reference.MARK)
    top, *parts = re.split(r"^## `(\w+)`$", text, flags=re.M)
    tables = {"": top} | dict(zip(parts[::2], parts[1::2], strict=True))
    kinds = config_reference.section_kinds()
    expected = {"": [key for key, kind in kinds.items() if kind is None]}
    expected |= {key: list(kind.model_fields) for key, kind in kinds.items() if kind}
    row = re.compile(r"^\| `(\w+)` \| (.+) \| (.*) \| (.*) \| (.*) \| (.+) \|$", re.M)
    rows = {name: row.findall(part) for name, part in tables.items()}
    assert {name: [cells[0] for cells in part] for name, part in rows.items()} == expected
    told = {name: {cells[0]: cells[1:] for cells in part} for name, part in rows.items()}
    assert told["ncs"]["positive_iou"][:2] == ("number, above 0 to 1", "`0.5`")
    assert told["model"]["width"][1:4] == ("`1.0`", "", "`0.34`")
    assert told["froc"]["readout"][:3] == (
        "`challenge`, `next_vertex`", "`challenge`", "`next_vertex`"
    )  # fmt: skip
    assert told["train"]["micro_batch"][0] == "whole number, from 1 or `null`"
    assert told["augment"]["scale"][0] == "list of 2 numbers"
    assert told[""]["scans"][:4] == ("text", "", "", "`demo.tsv`")
    assert "full: {after: dfps, branches: [ncs, dfps, sr], epochs: 120}" in text


def test_the_commands_page_has_the_help_of_every_command() -> None:
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    text = command_line.on_page_markdown(command_line.MARK)
    assert re.findall(r"^## `nodulenet ([\w-]+)`$", text, re.M) == list(commands.choices)
    for command in commands.choices.values():
        for action in command._actions:
            assert all(option in text for option in action.option_strings)
    assert max(map(len, text.splitlines())) <= command_line.WIDTH + 2


def test_links_that_leave_the_docs_become_text() -> None:
    text = "[a b](../README.md#c), [d](e.md) and [f](../../g)"
    assert outside_links.without_outside_links(text, 0) == "a b, [d](e.md) and f"
    assert outside_links.without_outside_links(text, 1) == "[a b](../README.md#c), [d](e.md) and f"


def test_the_figures_show_the_network_and_the_stages() -> None:
    stale = "stale: python docs/network.py"
    drawn = (network.IMAGES / "network.svg").read_text()
    for lines in network.labels(network.trace()).values():
        for line in lines:
            assert f">{line}<" in drawn, stale
    drawn = (network.IMAGES / "stages.svg").read_text()
    for line in network.stage_lines(TrainSettings()).values():
        assert f">{line}<" in drawn, stale


def test_the_network_is_the_published_one() -> None:
    seen = {name: tuple(tensor.shape) for name, tensor in network.trace().items()}
    assert seen["enc1"] == (1, 32, 64, 64, 64)
    assert seen["dec2"] == (1, 128, 32, 32, 32)
    assert seen["logits"] == (1, 32**3 * 5)
    assert seen["DFPS"] == (1, 64, 7, 7, 7)
    assert seen["SR 1/2"] == (1, 64, 12, 12, 12)
    assert seen["mask"] == (1, 24, 24, 24)


def test_the_choices_are_those_of_the_configs() -> None:
    published = read_settings([pages.ROOT / "lidc.yaml"]).plain()
    released = read_config([pages.ROOT / "released.yaml"])
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \|", CHOICES, re.M)
    told = {key: (own.strip("`"), other.strip("`")) for key, own, other in rows}
    assert set(told) == {f"{name}.{key}" for name, part in released.items() for key in part}
    stages = told.pop("train.stages")
    for place, config in enumerate((published, released)):
        epochs = [config["train"]["stages"][name]["epochs"] for name in ("ncs", "dfps", "full")]
        assert re.findall(r"\d+", stages[place]) == list(map(str, epochs))
        for key, values in told.items():
            section, name = key.split(".")
            assert yaml.safe_load(values[place]) == config[section][name], key
