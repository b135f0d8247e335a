"""What the report says of a cohort that the networks were tested on."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import small_cohort

from nodulenet.evaluation import evaluate_stage
from nodulenet.evaluation.results import read_froc
from nodulenet.evaluation.tables import Origin
from nodulenet.evaluation.transfer import CohortFiles, compare_cohorts
from nodulenet.files import read_json, write_json
from nodulenet.plots import plot_transfer
from nodulenet.report.external import external_cohort
from nodulenet.settings import FrocSettings

LEVEL = Origin("nodulenet/union", 3, "x")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small cohort scored, and again as the cohort `b`, with all networks and with one."""
    folder = tmp_path_factory.mktemp("cohort")
    files = small_cohort.build(folder)
    evaluate_stage(files, FrocSettings(bootstrap=20), LEVEL, folder / "full")
    own = CohortFiles("a", files.manifest, files.folds, folder / "full")
    for stage in ("full", "full_fold0"):
        shutil.copytree(folder / "full", folder / "external/b" / stage)
    other = replace(own, name="b", scores=folder / "external/b/full")
    compare_cohorts(own, other, folder / "external/b/full")
    return folder


def files_of(folder: Path) -> dict[str, Path]:
    return {stage: folder / "external/b" / stage / "froc.json" for stage in ("full", "full_fold0")}


def test_both_scores_stand_side_by_side(place: Path) -> None:
    froc = read_froc(place / "full/froc.json")
    own = external_cohort("b", 4, files_of(place), ("a", froc))
    cpm = f"{froc.headline.cpm:.3f}"
    assert own.lines[0].startswith(f"CPM of stage full on b: {cpm} [")
    assert f"in cross-validation on a: {cpm} [" in own.lines[0]
    assert not any("do not compare" in line for line in own.lines)
    networks, points, groups = own.tables
    assert [row[0] for row in networks.rows] == ["all networks together", "network of fold0"]
    assert networks.rows[0][1:] == networks.rows[1][1:]
    assert networks.rows[0][-2] == "2 of 3"
    assert [row[0] for row in points.rows] == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert all(row[2:4] == row[4:6] for row in points.rows)
    assert groups.rows[0][:3] == ("all", "all", "3")
    assert groups.heads[2:] == ("nodules, a", "found, a", "nodules, b", "found, b")


def test_another_protocol_is_named(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place, tmp_path / "run")
    path = folder / "external/b/full/froc.json"
    content = read_json(path)
    content["stamp"]["level"] = 1
    content["scans_left_out"] = 2
    write_json(path, content)
    froc = read_froc(folder / "full/froc.json")
    own = external_cohort("b", 0, files_of(folder), ("a", froc))
    assert "The protocol of a is another one, so that the two CPMs do not compare." in own.lines
    assert "2 bad scans of b left out." in own.lines


def test_a_group_of_one_cohort_has_a_dash_in_the_other(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place, tmp_path / "run")
    path = folder / "external/b/full/groups.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("b,size")))
    froc = read_froc(folder / "full/froc.json")
    groups = external_cohort("b", 0, files_of(folder), ("a", froc)).tables[2]
    sizes = [row for row in groups.rows if row[0] == "size"]
    assert sizes
    assert {row[4:] for row in sizes} == {("-", "-")}


def test_the_figure_has_both_cohorts(place: Path, tmp_path: Path) -> None:
    frocs = place / "full/froc.json", place / "external/b/full/froc.json"
    plot_transfer(("a", "b"), frocs, place / "external/b/full", tmp_path / "transfer.svg")
    assert (tmp_path / "transfer.svg").read_text().startswith("<?xml")
