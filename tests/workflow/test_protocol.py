"""What the stamp's hash covers, and how given weights are named, without a run of the DAG."""

import hashlib
import os
import runpy
from pathlib import Path
from typing import Any

import pytest

RULES = Path(__file__).parents[2] / "rules"
TABLES = ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv")
BEFORE = {"full": ["dfps", "ncs"], "dfps": ["ncs"], "ncs": []}


def rules(weights: dict[str, Any], luna16: Path | None = None, given: Any = ()) -> dict[str, Any]:
    """The names of protocol.smk, which is plain Python, under a config."""
    config = {
        "cohort": "a",
        "annotations": "lidc",
        "consensus": dict.fromkeys(("protocol", "merge", "z", "iou_threshold", "level"), 3),
        "train": {"device": "cpu"},
        "froc": {"protocol": "luna16" if luna16 else "nodulenet", "luna16": luna16},
        "weights": weights,
    }
    names = {"config": config, "hashlib": hashlib, "os": os, "Path": Path, "FOLDS": [0, 1, 2]}
    names |= {"ordered": lambda value: value, "ancestors": BEFORE.get, "GIVEN": dict(given)}
    own = runpy.run_path(str(RULES / "weights.smk"), init_globals=names)
    names["line_to_weights"] = own["line_to_weights"]
    return runpy.run_path(str(RULES / "protocol.smk"), init_globals=names)


def digest(*arguments: Any) -> str:
    return str(rules(*arguments)["ORIGIN"]["config"])


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    for folder in ("one", "same"):
        (tmp_path / folder).mkdir()
        for name in TABLES:
            (tmp_path / folder / name).write_text(name)
    return tmp_path


def test_the_hash_covers_the_content_of_the_lists_and_not_their_path(lists: Path) -> None:
    first = digest({}, lists / "one")
    assert digest({}, lists / "same") == first
    seen = {first}
    for name in TABLES:
        (lists / "same" / name).write_text("another")
        seen.add(digest({}, lists / "same"))
    assert len(seen) == 4


def test_the_hash_covers_the_normalised_path_of_given_weights() -> None:
    first = digest({"full": {"fold0": "w/a.pt"}})
    assert digest({"full": {"fold0": "./w//a.pt"}}) == first
    others = [{}, {"full": {"fold0": "w/b.pt"}}, {"full": {"fold1": "w/a.pt"}}]
    assert len({first, *map(digest, others)}) == 4


def test_given_folds_are_named() -> None:
    names = rules({}, None, {("full", 0): "a.pt", ("ncs", 2): "b.pt", ("ncs", 0): "b.pt"})
    assert names["given_folds"]("full") == {"fold0": "full", "fold2": "ncs"}
    assert names["training_of"]("full") == "ncs > dfps > full; given: fold0, fold2 (ncs)"
    assert names["training_of"]("ncs") == "ncs; given: fold0, fold2"
    assert rules({})["training_of"]("dfps") == "ncs > dfps"
