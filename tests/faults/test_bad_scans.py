"""`on_bad_scan: skip`: five bad scans of nine are named with the reason, and counted."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import running
import tiny
import yaml

pytestmark = pytest.mark.slow

SERIES = [f"1.2.900.{number}" for number in range(1, 10)]
RESULTS = "results/nine"


def write_nine(folder: Path) -> None:
    """Nine scans, copies of the tiny cohort's first three under names of their own."""
    rows = ["series_uid\tpatient_id\tct\tannotations\tlung_mask"]
    for number, series in enumerate(SERIES):
        source = tiny.SERIES[number % 3]
        for end in (".mhd", "_lungs.mhd", ".xml"):
            text = (folder / f"data/{source}{end}").read_text()
            (folder / f"data/{series}{end}").write_text(text.replace(source, series))
        for end in (".raw", "_lungs.raw"):
            (folder / f"data/{series}{end}").write_bytes(
                (folder / f"data/{source}{end}").read_bytes()
            )
        files = "\t".join(f"data/{series}{end}" for end in (".mhd", ".xml", "_lungs.mhd"))
        rows.append(f"{series}\tP{number}\t{files}")
    (folder / "nine.tsv").write_text("\n".join(rows) + "\n")
    stage = {"epochs": 1, "branches": ["ncs"]}
    config = {
        **tiny.CONFIG,
        "cohort": "nine",
        "scans": "nine.tsv",
        "on_bad_scan": "skip",
        "train": {**tiny.CONFIG["train"], "stages": {"ncs": stage}, "evaluate": ["ncs"]},
    }
    (folder / "nine.yaml").write_text(yaml.safe_dump(config))


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return spoil


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


# Scan, file, what is done to it, and what the manifest must say.
BAD = {
    SERIES[1]: (".raw", cut, r"data/1.2.900.2.raw: holds 1000 bytes of data, its header says"),
    SERIES[2]: (".xml", cut, r"data/1.2.900.3.xml: not well-formed XML: "),
    SERIES[4]: (".xml", replaced(SERIES[4], "1.2.3"), r"xml: is of series 1.2.3, not of this scan"),
    SERIES[6]: (
        "_lungs.mhd",
        replaced("Spacing = 1.0 1.0", "Spacing = 1.0 1.5"),
        r"data/1.2.900.7_lungs.mhd: the lung mask is not on the grid of its CT",
    ),
    SERIES[7]: (
        ".mhd",
        replaced("1 0 0 0 1 0 0 0 1", "0 0 0 0 0 0 0 0 0"),
        r"data/1.2.900.8.mhd: bad header: ",
    ),
}


def test_a_cohort_with_five_bad_scans_of_nine_finishes(fresh: Path, tmp_path: Path) -> None:
    write_nine(fresh)
    for series, (end, spoil, _) in BAD.items():
        spoil(fresh / f"data/{series}{end}")
    arguments = ("--configfile", "nine.yaml", "--config", "cohort=nine")
    running.run(fresh, *arguments)
    results = fresh / RESULTS

    manifest = pd.read_csv(results / "manifest.tsv", sep="\t").set_index("series_uid")
    assert list(manifest.index) == SERIES
    left_out = manifest[manifest["status"] != "ok"]
    assert set(left_out.index) == set(BAD)
    for series, (_, _, reason) in BAD.items():
        assert re.search(reason, left_out.loc[series, "status"]), left_out.loc[series, "status"]
    good = [series for series in SERIES if series not in BAD]
    assert pd.read_csv(results / "folds.tsv", sep="\t")["series_uid"].tolist() == good

    records = [results / f"fold{fold}/ncs/predictions.json" for fold in (0, 1)]
    predicted = [scan for path in records for scan in json.loads(path.read_text())["scans"]]
    assert sorted(predicted) == sorted(good)
    froc = json.loads((results / "ncs/froc.json").read_text())
    assert froc["scans_left_out"] == 5
    assert froc["sets"]["ensemble"]["scans"] == froc["all_scans"]["ensemble"]["scans"] == len(good)
    # Matplotlib draws letters as paths; the words stand in comments, a line in each.
    words = " ".join(re.findall("<!-- (.*?) -->", (results / "figures/froc.svg").read_text()))
    assert f"{len(good)} scans" in words
    assert "5 bad scans left out" in words

    running.run(fresh, *arguments, "--report", str(tmp_path / "report.zip"))
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        held = [report.read(name) for name in report.namelist()]
    assert (results / "manifest.tsv").read_bytes() in held
    assert (results / "figures/froc.svg").read_bytes() in held
