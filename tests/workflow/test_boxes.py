"""A cohort of positions and diameters without outlines through the whole DAG."""

import copy
import json
from pathlib import Path

import pandas as pd
import running
import tiny


def test_a_cohort_without_outlines(fresh: Path) -> None:
    config = tiny.write_boxes(fresh, scans=2)
    stages = {**config["train"]["stages"], "full": {"epochs": 1, "branches": ["ncs", "dfps", "sr"]}}
    train = {**copy.deepcopy(config["train"]), "stages": stages}
    running.configure(fresh, train={**train, "evaluate": ["full"]})
    message = "config.yaml: train.stages.full.branches: sr learns from outlines"
    assert message in running.fail(fresh, "--dry-run")

    running.configure(fresh, train=train)
    running.run(fresh)
    results = fresh / "results/boxes"
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
        "froc.svg",
        "training_fold0.svg",
        "training_fold1.svg",
    ]
    assert not (results / "dfps_only/gallery.png").exists()
    assert "Nothing to be done" in running.run(fresh)
