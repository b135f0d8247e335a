"""The columns that say what a table rests on."""

import hashlib
from dataclasses import asdict

import pandas as pd

from nodulenet.evaluation.tables import Stamp, hash_files, stamped

STAMP = Stamp("nodulenet", "nodulenet/union/nearest/0.4", 3, 888, 1186, "0.1.0", "0123456789ab")


def test_every_row_gets_every_field_at_its_end():
    table = stamped(pd.DataFrame({"dice": [0.5, 0.7]}, index=[4, 2]), STAMP)
    assert list(table) == ["dice", *asdict(STAMP)]
    assert table["nodules"].tolist() == [1186, 1186]
    assert table.index.tolist() == [4, 2]
    assert list(stamped(pd.DataFrame(columns=["dice"]), STAMP)) == list(table)


def test_a_row_s_own_counts_stay():
    table = stamped(pd.DataFrame({"scans": [89, 88]}), STAMP)
    assert table["scans"].tolist() == [89, 88]
    assert table["nodules"].tolist() == [1186, 1186]


def test_an_unknown_level_is_an_empty_cell(tmp_path):
    given = Stamp("luna16", "given", None, 888, 1186, "0.1.0", "0123456789ab")
    stamped(pd.DataFrame({"cpm": [0.5]}), given).to_csv(tmp_path / "t.csv", index=False)
    line = (tmp_path / "t.csv").read_text().splitlines()[1]
    assert line == "0.5,luna16,given,,888,1186,0.1.0,0123456789ab"


def test_the_hash_is_of_the_files_content(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path, text in zip(paths, ("one", "two"), strict=True):
        path.write_text(text)
    whole = "".join(hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
    assert hash_files(paths, {}) == hashlib.sha256(f"{whole}{{}}".encode()).hexdigest()[:12]
    first = hash_files(paths, {})
    paths[1].write_text("tw0")
    assert hash_files(paths, {}) != first
    assert hash_files(paths, {"bootstrap": 1}) != hash_files(paths, {"bootstrap": 2})
