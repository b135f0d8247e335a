"""LUNA16's own file formats, and faults in them."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from naive_froc import golden_cohort, naive_froc

from nodulenet.evaluation import Submission, score_submission
from nodulenet.evaluation.submission import distinct_names
from nodulenet.files import InputError
from nodulenet.settings import FrocSettings

HEADER = "seriesuid,coordX,coordY,coordZ,"
FILES = {
    "annotations": HEADER + "diameter_mm\r\n1.2,0,0,0,10\r\n1.3,5,5,5,8\r\n",
    "excluded": HEADER + "diameter_mm\r\n1.2,40,0,0,-1\r\n",
    "predictions": HEADER + "probability\r\n1.2,1,0,0,0.9\r\n1.2,40,0,4,0.8\r\n1.3,90,0,0,0.7\r\n",
    "scans": "1.2\r\n1.3\r\n1.40\r\n",
}


def score(output, allow_missing=True, **options):
    """The content of froc.json of a submission; options: its files, readout and bootstrap."""
    own = {name: options.pop(name) for name in ("readout", "bootstrap") if name in options}
    settings = FrocSettings(**own)
    score_submission(Submission(**options), output, settings, allow_missing)
    return json.loads((output / "froc.json").read_text())


@pytest.fixture
def inputs(tmp_path):
    paths = {}
    for name, text in FILES.items():
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_bytes(text.encode())
    return paths


def test_luna16_files_are_scored(inputs, tmp_path):
    packed = tmp_path / "excluded.csv.gz"
    packed.write_bytes(gzip.compress(inputs["excluded"].read_bytes()))
    score(**(inputs | {"excluded": packed}), output=tmp_path / "out", bootstrap=20)
    content = json.loads((tmp_path / "out/froc.json").read_text())
    assert content["protocol"] == "luna16"
    assert content["sensitivity"] == [0.5] * 7
    assert content["cpm"] == 0.5
    counts = [content[k] for k in ("nodules", "found", "false_positives", "on_excluded", "scans")]
    assert counts == [2, 1, 1, 1, 3]
    rows = pd.read_csv(tmp_path / "out/froc.csv")
    assert rows["rate"].tolist() == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert set(rows["protocol"]) == {"luna16"}
    assert (rows["low"] <= rows["sensitivity"]).all()
    assert (rows["sensitivity"] <= rows["high"]).all()


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("annotations", None, "No such file"),
        ("annotations", "", "is empty"),
        ("annotations", FILES["predictions"], "no column diameter_mm"),
        ("predictions", FILES["predictions"] + "1.3,x,0,0,1\r\n", "line 5: coordX"),
        ("predictions", FILES["predictions"] + "1.2,1,2,3,4,5,6\r\n", "line 5"),
        ("predictions", HEADER + "probability\r\n1.2,1,2,3,4,5\r\n", "line 2 has 6 cells, not 5"),
        ("predictions", HEADER + "probability,coordX\r\n", "column coordX is there twice"),
        ("predictions", FILES["predictions"].replace(",", ";"), "separated by semicolons"),
        ("predictions", FILES["predictions"] + ",1,2,3,0.5\r\n", "line 5: seriesuid is empty"),
        ("annotations", FILES["annotations"] + "1.2,0,0,0,10\r\n", "lines 2 and 4 are the same"),
        ("annotations", FILES["annotations"] + "1.2,1,0,0,0\r\n", "line 4: diameter_mm is 0"),
        ("excluded", FILES["excluded"] + "1.2,1,0,0,0\r\n", "line 3: diameter_mm is 0"),
        ("predictions", FILES["predictions"] + "1.9,1,0,0,1\r\n", "1 scan.*: 1.9"),
        ("excluded", FILES["excluded"] + "1.9,1,0,0,1\r\n", "1 scan.*: 1.9"),
        ("scans", "1.2\r\n", "not in the list of scans: 1.3"),
        ("scans", "seriesuid\r\n1.2\r\n1.3\r\n", "line 1 is a header"),
        ("scans", "SeriesInstanceUID\r\n1.2\r\n1.3\r\n", "line 1 is a header"),
        ("scans", "series_uid\r\n1.2\r\n1.3\r\n", "line 1 is a header"),
        ("scans", "Scan\r\n1.2\r\n1.3\r\n", "line 1 is a header"),
        ("scans", "1.2\r\n1.3\r\n1.2\r\n", "listed twice: 1.2"),
        ("scans", "1.2,0\r\n", "2 columns"),
        ("scans", "", "no scan"),
    ],
)
def test_faults_name_the_file(inputs, tmp_path, name, text, fault):
    inputs[name].unlink()
    if text is not None:
        inputs[name].write_bytes(text.encode())
    with pytest.raises(InputError, match=fault) as error:
        score(**inputs, output=tmp_path / "out")
    assert str(inputs[name] if "not in the list" not in fault else "annotations") in str(
        error.value
    )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_cells_are_stripped_in_every_table(inputs, tmp_path):
    plain = score(**inputs, output=tmp_path / "out", bootstrap=5)
    for path in inputs.values():
        path.write_text(path.read_text().replace("1.", " 1.").replace("\n", " \n"))
    spaced = score(**inputs, output=tmp_path / "out", bootstrap=5)
    for content in (plain, spaced):
        content.pop("stamp")
    assert spaced == plain


def write_cohort(folder, cohort):
    """The four tables as files; returns their paths by the names of `Submission`."""
    paths = {name: folder / f"{name}.csv" for name in FILES}
    tables = dict(zip(("annotations", "excluded", "predictions", "scans"), cohort, strict=True))
    paths["scans"].write_text("".join(f"{scan}\n" for scan in tables.pop("scans")))
    for name, table in tables.items():
        table.to_csv(paths[name], index=False)
    return paths


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """200 seeded scans, scored whole and in ten folds, and again as the tables that were read."""
    folder = tmp_path_factory.mktemp("golden")
    nodules, excluded, marks, scans = golden_cohort()
    paths = write_cohort(folder, (nodules, excluded, marks, scans))
    folds = pd.DataFrame({"seriesuid": scans, "subset": np.arange(200) % 10})
    folds.to_csv(folder / "folds.csv", index=False)
    content = score(**paths, output=folder, bootstrap=20, folds=folder / "folds.csv")
    return folder, content, (nodules, excluded, marks, scans)


def test_the_golden_scans_equal_the_naive_steps(golden):
    _, content, cohort = golden
    counts, sensitivity, cpm = naive_froc(*cohort, "challenge")
    assert [content[k] for k in ("nodules", "found", "false_positives", "on_excluded")] == [*counts]
    np.testing.assert_allclose(content["sensitivity"], sensitivity, rtol=0, atol=1e-12)
    assert content["cpm"] == pytest.approx(cpm, abs=1e-12)
    assert 0.2 < cpm < 0.8


def test_the_golden_folds_equal_the_naive_steps(golden):
    folder, content, (*tables, scans) = golden
    assert list(content["folds"]) == [str(fold) for fold in range(10)]
    table = pd.read_csv(folder / "froc.csv", dtype={"fold": str})
    for fold, result in content["folds"].items():
        own = scans[int(fold) :: 10]
        part = [rows[rows["seriesuid"].isin(own)] for rows in tables]
        counts, sensitivity, cpm = naive_froc(*part, own, "challenge")
        assert (result["nodules"], result["found"]) == counts[:2]
        assert result["scans"] == 20
        np.testing.assert_allclose(result["sensitivity"], sensitivity, rtol=0, atol=1e-12)
        assert result["cpm"] == pytest.approx(cpm, abs=1e-12)
        assert table[table["fold"] == fold]["cpm"].tolist() == pytest.approx([cpm] * 7, abs=1e-6)


def test_the_golden_tables_name_folds_and_the_stamp(golden):
    folder, content, (*_, scans) = golden
    fold_of = {scan: number % 10 for number, scan in enumerate(scans)}
    for name, number in (("nodules", content["nodules"]), ("false_positives", None)):
        table = pd.read_csv(folder / f"{name}.csv")
        assert len(table) == number or number is None
        assert table["fold"].tolist() == [fold_of[scan] for scan in table["seriesuid"]]
        assert set(table["consensus"]) == {"given"}
        assert set(table["config"]) == {content["stamp"]["config"]}
        assert table["level"].isna().all()
    assert len(content["stamp"]["config"]) == 12


def test_another_submission_is_compared_in_pairs(inputs, tmp_path):
    worse = tmp_path / "worse.csv"
    worse.write_text(FILES["predictions"].replace("1.2,1,0,0,0.9", "1.2,80,0,0,0.9"))
    content = score(**inputs, output=tmp_path / "out", bootstrap=50, against=worse)
    assert (content["predictions"], content["against"]["predictions"]) == (
        "predictions.csv",
        "worse.csv",
    )
    assert content["against"]["cpm"] == 0
    difference = content["against"]["difference"]
    assert difference["cpm"] == 0.5
    assert difference["sensitivity"] == [0.5] * 7
    low, high = difference["interval"]
    assert 0 <= low < 0.5 < high <= 1
    assert set(pd.read_csv(tmp_path / "out/froc.csv")["set"]) == {"submission", "against"}
    same = score(**inputs, output=tmp_path / "out", bootstrap=50, against=inputs["predictions"])
    assert same["against"]["difference"]["interval"] == [0, 0]


def test_the_hash_covers_options_and_folds(inputs, tmp_path):
    folds = tmp_path / "folds.csv"
    folds.write_text("seriesuid,subset\n1.2,0\n1.3,1\n1.40,1\n")
    other = tmp_path / "other.csv"
    other.write_text("seriesuid,subset\n1.2,1\n1.3,1\n1.40,0\n")
    digests, readouts = [], []
    for options in (
        {},
        {"readout": "next_vertex"},
        {"bootstrap": 6},
        {"folds": folds},
        {"folds": other},
        {"against": inputs["predictions"]},
    ):
        score(**(inputs | {"bootstrap": 5} | options), output=tmp_path / "out")
        table = pd.read_csv(tmp_path / "out/froc.csv")
        digests += table["config"].unique().tolist()
        readouts.append(table["readout"].unique().tolist())
    assert len(digests) == len(set(digests)) == 6
    assert readouts == [["challenge"], ["next_vertex"], *[["challenge"]] * 4]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/p.csv"], ["p.csv"]),
        (["a/p.csv", "a/q.csv"], ["p.csv", "q.csv"]),
        (["x/a/p.csv", "x/b/p.csv"], ["a/p.csv", "b/p.csv"]),
        (["a/full/p.csv", "b/full/p.csv"], ["a/full/p.csv", "b/full/p.csv"]),
        (["p.csv", "old/p.csv"], ["p.csv", "old/p.csv"]),
        (["a/p.csv", "a/p.csv"], ["p.csv", "p.csv"]),
    ],
)
def test_submissions_of_one_name_are_distinguished_by_their_folders(paths, names):
    assert distinct_names([Path(path) for path in paths]) == names


def test_ids_that_only_look_alike_are_an_error_with_examples_of_both(inputs, tmp_path):
    inputs["scans"].write_text("".join(f"{number:03}\n" for number in range(20, 30)))
    for name in ("annotations", "excluded"):
        inputs[name].write_text(HEADER + "diameter_mm\n023,0,0,0,5\n")
    inputs["predictions"].write_text(HEADER + "probability\n23,0,0,0,1\n025,0,0,0,1\n")
    fault = r"predictions.csv: 1 scan.* not in the list of scans: 23; the list has 023, \.\.\."
    with pytest.raises(InputError, match=fault):
        score(**inputs, output=tmp_path / "out")


def test_scans_without_marks_are_counted_or_an_error(inputs, tmp_path):
    content = score(**inputs, output=tmp_path / "out", bootstrap=5)
    assert content["scans_without_marks"] == 1
    with pytest.raises(InputError, match=r"predictions.csv: 1 scan.* have no mark: 1\.40"):
        score(**inputs, output=tmp_path / "no", allow_missing=False)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("seriesuid,subset\n1.2,0\n1.3,1\n", r"1 scan.* have no fold: 1\.40; it has 1\.2, 1\.3"),
        ("seriesuid,part\n1.2,0\n", "needs the columns seriesuid and subset"),
        ("seriesuid,subset\n1.2,one\n", "line 2: subset is not a number: 'one'"),
        ("seriesuid,fold\n1.2,0\n1.2,0\n", "scan 1.2 is listed more than once"),
        ("seriesuid,fold\n1.2,0\n1.3,2\n1.40,2\n", r"the folds are \[0, 2\], not 0 to 1"),
    ],
)
def test_faults_of_the_folds(inputs, tmp_path, text, fault):
    folds = tmp_path / "folds.csv"
    folds.write_text(text)
    with pytest.raises(InputError, match=f"folds.csv: {fault}"):
        score(**inputs, output=tmp_path / "out", folds=folds)


def test_a_truncated_gzip_is_an_error(inputs, tmp_path):
    packed = tmp_path / "excluded.csv.gz"
    packed.write_bytes(gzip.compress(inputs["excluded"].read_bytes() * 500)[:-20])
    with pytest.raises(InputError, match=r"excluded\.csv\.gz"):
        score(**(inputs | {"excluded": packed}), output=tmp_path / "out")


def test_the_challenge_s_own_tables(nodulenet_data, tmp_path):
    """Marks on every annotation with one false positive in each scan give a CPM by hand."""
    folder = nodulenet_data / "luna16"
    annotations = pd.read_csv(folder / "annotations.csv")
    scans = (folder / "seriesuids.csv").read_text().split()
    true = annotations.drop(columns="diameter_mm").assign(probability=0.5)
    far = {"seriesuid": scans, "coordX": 9e3, "coordY": 0, "coordZ": 0, "probability": 0.5}
    pd.concat([true, pd.DataFrame(far)]).to_csv(tmp_path / "marks.csv", index=False)
    content = score(
        tmp_path,
        annotations=folder / "annotations.csv",
        excluded=folder / "annotations_excluded.csv.gz",
        scans=folder / "seriesuids.csv",
        predictions=tmp_path / "marks.csv",
        bootstrap=10,
    )
    assert (content["nodules"], content["found"], content["scans"]) == (1186, 1186, 888)
    assert content["false_positives"] == 888
    # The only point is (1, 1): the curve is the diagonal up to it.
    expected = (0.125 + 0.25 + 0.5 + 4) / 7
    assert content["cpm"] == pytest.approx(expected, abs=2e-4)


def test_perfect_marks_of_the_challenge_s_nodules_have_a_cpm_of_one(nodulenet_data, tmp_path):
    folder = nodulenet_data / "luna16"
    annotations = pd.read_csv(folder / "annotations.csv")
    annotations.drop(columns="diameter_mm").assign(probability=1.0).to_csv(
        tmp_path / "perfect.csv", index=False
    )
    content = score(
        tmp_path,
        annotations=folder / "annotations.csv",
        excluded=folder / "annotations_excluded.csv.gz",
        scans=folder / "seriesuids.csv",
        predictions=tmp_path / "perfect.csv",
        bootstrap=10,
        folds=folder / "subsets.csv",
    )
    assert (content["cpm"], content["interval"]) == (1.0, [1.0, 1.0])
    assert content["false_positives"] == 0
    folds = content["folds"]
    assert [fold["scans"] for fold in folds.values()] == [89] * 8 + [88] * 2
    assert sum(fold["nodules"] for fold in folds.values()) == 1186
    assert {fold["cpm"] for fold in folds.values()} == {1.0}
    # 888 scans, 601 with a nodule.
    assert content["scans_without_marks"] == 888 - annotations["seriesuid"].nunique()
