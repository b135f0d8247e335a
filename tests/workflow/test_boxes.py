"""A cohort of positions and diameters without outlines through the whole DAG."""

import json
from pathlib import Path

import pandas as pd
import pytest
import running
import tiny


@pytest.mark.slow
def test_a_cohort_without_outlines(finished: Path) -> None:
    # A copy of the finished run, because its loops are compiled.
    tiny.write_boxes(finished)
    running.run(finished, "--configfile", "config.yaml", "boxes.yaml")
    results = finished / "results/boxes"
    manifest = pd.read_csv(results / "manifest.tsv", sep="\t")
    assert manifest["n_nodules"].tolist() == manifest["n_kept"].tolist() == [2, 1]
    findings = pd.read_csv(results / f"nodules/{tiny.SERIES[0]}.csv")
    place = ["coordX", "coordY", "coordZ", "diameter_mm"]
    assert findings[place].to_numpy().tolist() == [[18, 30, 18, 10], [46, 36, 24, 8]]
    froc = json.loads((results / "dfps_only/froc.json").read_text())
    assert froc["segmentation"] is None
    assert {name: (s["scans"], s["nodules"]) for name, s in froc["sets"].items()} == dict.fromkeys(
        ("ensemble", "dfps", "ncs"), (2, 3)
    )
    assert sorted(path.name for path in (results / "figures").iterdir()) == [
        "ablation.svg",
        "froc.svg",
        "timings.svg",
        "training_fold0.svg",
        "training_fold1.svg",
    ]
    assert not (results / "dfps_only/gallery.png").exists()
    page = (results / "report.html").read_text()
    assert "positions and diameters alone" in page
    assert "No evaluated stage has masks" in page
    # Nobody outlined anything, so there are no readers to compare.
    for path in ("reader_pairs.csv", "dfps_only/readers.csv", "dfps_only/segmentation.csv"):
        assert pd.read_csv(results / path).empty
