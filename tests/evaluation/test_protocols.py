"""Both protocols over one small cohort, and the tables of nodules and false positives, by hand."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from small_cohort import build

from nodulenet import __version__
from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.tables import Origin
from nodulenet.files import InputError
from nodulenet.settings import FrocSettings

ORIGIN = Origin("nodulenet/union/nearest/0.4", 3, "0123456789ab")
# Nothing is in s8 and s9, which the cohort lacks, but a nodule; s2 is not listed. The mark of s1
# that hits nothing of the cohort's own is on an excluded finding here.
OFFICIAL = {
    "annotations.csv": "s0,-70,-70,-80,13\ns9,0,0,0,5\n",
    "annotations_excluded.csv": "s1,-90,-30,-50,9\n",
    "seriesuids.csv": "s0\ns1\ns9\ns8\n",
}


def evaluate(folder, challenge=(), **settings):
    files = replace(build(folder), challenge=challenge)
    evaluate_stage(files, FrocSettings(bootstrap=20, **settings), ORIGIN, folder / "full")
    return json.loads((folder / "full/froc.json").read_text())


def official(folder, changes=()):
    """The challenge's three tables, written into the folder."""
    paths = []
    for name, text in (OFFICIAL | dict(changes)).items():
        paths.append(folder / name)
        header = "" if name == "seriesuids.csv" else "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
        paths[-1].write_text(header + text)
    return paths


def counts(content):
    return [content[k] for k in ("nodules", "found", "false_positives", "on_excluded", "scans")]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return folder, evaluate(folder)


def chosen(folder, name, denominator):
    """The ensemble's rows of a table under one denominator."""
    table = pd.read_csv(folder / f"full/{name}.csv")
    wanted = (table["set"] == "ensemble") & (table["denominator"] == denominator)
    return table[wanted].reset_index(drop=True)


def test_all_scans_are_the_second_denominator(scored):
    _, content = scored
    assert content["denominator"] == "with_nodules"
    assert content["sets"]["ensemble"]["scans"] == 2
    for result in content["all_scans"].values():
        assert counts(result) == [3, 2, 2, 1, 3]
    # The mark in s2 comes first and is a false positive here: 0 up to 1/3 per scan, then 2/3.
    ensemble = content["all_scans"]["ensemble"]
    assert ensemble["sensitivity"] == pytest.approx([0, 0, *[2 / 3] * 5])
    assert counts(ensemble["folds"]["1"]) == [1, 1, 2, 1, 2]


def test_every_table_carries_its_stamp(scored):
    folder, content = scored
    expected = {"version": __version__, **asdict(ORIGIN)}
    assert content["stamp"] == {"scans": 2, "nodules": 3, **expected}
    for name in ("froc", "nodules", "false_positives", "scans", "segmentation"):
        table = pd.read_csv(folder / f"full/{name}.csv")
        for column, value in expected.items():
            assert set(table[column]) == {value}
    for name in ("nodules", "false_positives"):
        assert set(chosen(folder, name, "with_nodules")["scans"]) == {2}
        assert set(chosen(folder, name, "all")["scans"]) == {3}


def test_every_nodule_with_its_best_mark(scored):
    rows = chosen(scored[0], "nodules", "with_nodules")
    assert rows["seriesuid"].tolist() == ["s0", "s0", "s1"]
    assert rows["fold"].tolist() == [0, 0, 1]
    assert rows["nodule"].tolist() == [1, 2, 1]
    assert rows["diameter_mm"].tolist() == [13, 9, 19]
    assert rows["found"].tolist() == [1, 0, 1]
    assert rows["probability"].fillna(-1).tolist() == [0.9, -1, 0.8]
    assert rows["mark"].fillna(-1).tolist() == [1, -1, 3]
    assert rows["mark_coordX"].fillna(0).tolist() == [-69, 0, -56]
    assert rows["distance_mm"].fillna(-1).tolist() == [1, -1, 1]
    assert rows["false_positives_per_scan"].fillna(-1).tolist() == [0, -1, 0]
    # From the missed nodule at (40, 60, 70) to the mark at (20, 30, 31).
    near = np.sqrt(20**2 + 30**2 + 39**2)
    assert rows["nearest_mark_mm"].tolist() == pytest.approx([1, near, 1], abs=1e-3)
    rows = chosen(scored[0], "nodules", "all")
    assert rows["false_positives"].fillna(-1).tolist() == [1, -1, 1]
    assert rows["false_positives_per_scan"].dropna().tolist() == pytest.approx(
        [1 / 3] * 2, abs=1e-5
    )


def test_the_decoded_boxes_are_the_marks_of_their_set(scored):
    table = pd.read_csv(scored[0] / "full/nodules.csv")
    rows = table[(table["set"] == "dfps") & (table["denominator"] == "with_nodules")]
    assert rows["mark"].fillna(-1).tolist() == [1, -1, 3]
    assert rows["mark_coordX"].fillna(0).tolist() == [-70, 0, -55]


def test_every_false_positive_above_an_operating_point(scored):
    rows = chosen(scored[0], "false_positives", "all")
    assert rows["seriesuid"].tolist() == ["s2", "s1"]
    assert rows["mark"].tolist() == [6, 4]
    assert rows["probability"].tolist() == [0.95, 0.6]
    assert rows["false_positives"].tolist() == [1, 2]
    assert rows["false_positives_per_scan"].tolist() == pytest.approx([1 / 3, 2 / 3], abs=1e-5)
    points = rows[["at_0.125", "at_0.25", "at_0.5", "at_1", "at_2", "at_4", "at_8"]]
    assert points.to_numpy().tolist() == [[0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]]
    # s2 has no nodule; from (50, 70, 10) to the nodule of s1 at (30, 40, 45).
    assert rows["nearest_nodule"].fillna(0).tolist() == [0, 1]
    near = np.sqrt(20**2 + 30**2 + 35**2)
    assert rows["nearest_nodule_mm"][1] == pytest.approx(near, abs=1e-3)
    assert chosen(scored[0], "false_positives", "with_nodules")["seriesuid"].tolist() == ["s1"]


def test_the_challenge_scores_the_part_of_its_list_that_is_there(tmp_path, caplog):
    caplog.set_level("INFO")
    content = evaluate(tmp_path, official(tmp_path), protocol="luna16")
    assert (content["protocol"], content["denominator"]) == ("luna16", "all")
    assert [content[key] for key in ("scans", "listed", "scans_not_listed")] == [2, 4, 1]
    assert "2 of the 4 listed scans" in caplog.text
    assert "1 scans of the cohort are not listed" in caplog.text
    # s0: one official nodule, both marks on it. s1: one mark of three on the excluded finding.
    assert counts(content["sets"]["ensemble"]) == [1, 1, 2, 1, 2]
    assert counts(content["sets"]["ensemble"]["folds"]["1"]) == [0, 0, 2, 1, 1]
    assert content["sets"]["ensemble"]["cpm"] == 1
    assert "all_scans" not in content
    stamp = content["stamp"]
    assert (stamp["consensus"], stamp["level"], stamp["scans"]) == ("given", None, 2)
    # Masks are compared with the cohort's own consensus all the same.
    segmentation = pd.read_csv(tmp_path / "full/segmentation.csv")
    assert len(segmentation) == 3
    assert set(segmentation["protocol"]) == {"nodulenet"}


def test_scans_that_the_challenge_does_not_list_are_counted(tmp_path):
    lists = {"annotations_excluded.csv": "", "seriesuids.csv": "s0\ns9\n"}
    content = evaluate(tmp_path, official(tmp_path, lists), protocol="luna16")
    assert [content[key] for key in ("scans", "listed", "scans_not_listed")] == [1, 2, 2]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {name: text.replace("s", "t") for name, text in OFFICIAL.items()},
            "seriesuids.csv: lists no scan of the cohort: it has t0, t1, t9, ..., the cohort s0",
        ),
        ({"seriesuids.csv": "s0\ns1\n"}, "annotations.csv: 1 scan.* not in the list of scans: s9"),
        ({"annotations_excluded.csv": "s7,0,0,0,5\n"}, "annotations_excluded.csv: 1 scan.*: s7"),
    ],
)
def test_faults_of_the_challenge_s_files(tmp_path, changes, fault):
    with pytest.raises(InputError, match=fault):
        evaluate(tmp_path, official(tmp_path, changes), protocol="luna16")
