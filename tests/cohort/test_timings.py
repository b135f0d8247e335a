"""What every job took, gathered from hand-written benchmarks and logs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nodulenet.cohort.timings import COLUMNS, gather_timings, read_timings, write_timings
from nodulenet.files import InputError

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def job(logs: Path, name: str, row: str, log: str = "") -> None:
    """The benchmark and the log of one job."""
    benchmark = logs / f"benchmarks/{name}.tsv"
    for path, text in ((benchmark, HEAD + row), (logs / f"{name}.log", log)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sampled(seconds: object, memory: object, cpu: object) -> str:
    return f"{seconds}\t0:00:03\t{memory}\t900\t100\t100\t1\t2\t30\t{cpu}\n"


def test_a_row_for_each_job_by_hand(tmp_path: Path) -> None:
    job(tmp_path, "preprocess/1.2.30", sampled(3.5, 200.5, 1.25), "note\njob used 2.50 s of CPU\n")
    # What an earlier line says does not count, nor a job that used less than was sampled.
    used = "job used 99.00 s of CPU and 999 MB of memory\n" + 400 * "x" + "\n"
    used += "INFO job used 0.84 s of CPU and 211 MB of memory\n"
    job(tmp_path, "preprocess/1.2.4", sampled(4, 210.25, 0.95), used)
    job(tmp_path, "train/fold0_full", sampled(100, 900, 80))
    # Gone before the first sample.
    job(tmp_path, "folds", sampled(0.4, "NA", "NA"), "job used 0.30 s of CPU and 75 MB of memory\n")
    table = gather_timings(tmp_path, {"1.2.30", "1.2.4"})
    assert table.to_numpy().tolist() == [
        ["folds", "", "", 0.4, 0.3, 75],
        ["preprocess", "1.2.30", "", 3.5, 2.5, 200.5],
        ["preprocess", "1.2.4", "", 4, 0.95, 211],
        ["train", "", "fold0_full", 100, 80, 900],
    ]


def test_scans_left_out_and_damage_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job(tmp_path, "consensus/1.2", sampled(3, 200, 1))
    job(tmp_path, "consensus/1.3", sampled(3, 200, 1))
    job(tmp_path, "concat/full", "3.5\t0:0")
    (tmp_path / "benchmarks/manifest.tsv").write_text("")
    table = gather_timings(tmp_path, {"1.2"})
    assert table[["rule", "series_uid", "part"]].to_numpy().tolist() == [
        ["concat", "", "full"],
        ["consensus", "1.2", ""],
        ["manifest", "", ""],
    ]
    assert table["seconds"].tolist()[:2] == [3.5, 3]
    assert table["cpu_seconds"].isna().tolist() == [True, False, True]
    assert "1 jobs of other scans left out" in caplog.text
    assert "benchmarks/manifest.tsv is damaged" in caplog.text


def test_without_a_benchmark_the_table_is_empty_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = gather_timings(tmp_path, {"1.2"})
    write_timings(table, tmp_path / "timings.tsv")
    assert read_timings(tmp_path / "timings.tsv").empty
    assert "holds no benchmark" in caplog.text


def test_timings_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [["folds", "", "", 0.41, np.nan, 75.0], ["predict", "", "fold0_full", 3.0, 5.5, np.nan]]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    path = tmp_path / "timings.tsv"
    write_timings(table, path)
    pd.testing.assert_frame_equal(read_timings(path), table, check_dtype=False)
    path.write_text(path.read_text().replace("5.50", "long"))
    with pytest.raises(InputError, match=r"timings\.tsv: cpu_seconds is not a number"):
        read_timings(path)
    path.write_text("rule\tseconds\n")
    with pytest.raises(InputError, match=r"timings\.tsv: no column series_uid"):
        read_timings(path)
