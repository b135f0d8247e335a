"""LUNA16's own file formats, and faults in them."""

import gzip
import json

import pandas as pd
import pytest

from nodulenet.evaluation import froc_files
from nodulenet.files import InputError

HEADER = "seriesuid,coordX,coordY,coordZ,"
FILES = {
    "annotations": HEADER + "diameter_mm\r\n1.2,0,0,0,10\r\n1.3,5,5,5,8\r\n",
    "excluded": HEADER + "diameter_mm\r\n1.2,40,0,0,-1\r\n",
    "predictions": HEADER + "probability\r\n1.2,1,0,0,0.9\r\n1.2,40,0,4,0.8\r\n1.3,90,0,0,0.7\r\n",
    "scans": "1.2\r\n1.3\r\n1.40\r\n",
}


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
    froc_files(**(inputs | {"excluded": packed}), output=tmp_path / "out", samples=20)
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
        ("annotations", "", "No columns"),
        ("annotations", FILES["predictions"], "no column diameter_mm"),
        ("predictions", FILES["predictions"] + "1.3,x,0,0,1\r\n", "row 4: coordX"),
        ("predictions", FILES["predictions"] + "1.2,1,2,3,4,5,6\r\n", "line 5"),
        ("predictions", FILES["predictions"] + "1.9,1,0,0,1\r\n", "1 scan.*: 1.9"),
        ("excluded", FILES["excluded"] + "1.9,1,0,0,1\r\n", "1 scan.*: 1.9"),
        ("scans", "1.2\r\n", "not in the list of scans: 1.3"),
        ("scans", "seriesuid\r\n1.2\r\n1.3\r\n", "line 1 is a header"),
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
        froc_files(**inputs, output=tmp_path / "out")
    assert str(inputs[name] if "not in the list" not in fault else "annotations") in str(
        error.value
    )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_truncated_gzip_is_an_error(inputs, tmp_path):
    packed = tmp_path / "excluded.csv.gz"
    packed.write_bytes(gzip.compress(inputs["excluded"].read_bytes() * 500)[:-20])
    with pytest.raises(InputError, match=r"excluded\.csv\.gz"):
        froc_files(**(inputs | {"excluded": packed}), output=tmp_path / "out")


def test_the_challenge_s_own_tables(nodulenet_data, tmp_path):
    """Marks on every annotation with one false positive in each scan give a CPM by hand."""
    folder = nodulenet_data / "luna16"
    annotations = pd.read_csv(folder / "annotations.csv")
    scans = (folder / "seriesuids.csv").read_text().split()
    true = annotations.drop(columns="diameter_mm").assign(probability=0.5)
    far = {"seriesuid": scans, "coordX": 9e3, "coordY": 0, "coordZ": 0, "probability": 0.5}
    pd.concat([true, pd.DataFrame(far)]).to_csv(tmp_path / "marks.csv", index=False)
    froc_files(
        folder / "annotations.csv",
        folder / "annotations_excluded.csv.gz",
        folder / "seriesuids.csv",
        tmp_path / "marks.csv",
        tmp_path,
        samples=10,
    )
    content = json.loads((tmp_path / "froc.json").read_text())
    assert (content["nodules"], content["found"], content["scans"]) == (1186, 1186, 888)
    assert content["false_positives"] == 888
    # The only point is (1, 1): the curve is the diagonal up to it.
    expected = (0.125 + 0.25 + 0.5 + 4) / 7
    assert content["cpm"] == pytest.approx(expected, abs=2e-4)
