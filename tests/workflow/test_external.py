"""A run's networks on a cohort that they were not trained on: its files, and what is refused."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import running
import tiny
import yaml

pytestmark = pytest.mark.slow
FIRST, SECOND = "1.2.826.91", "1.2.826.92"
OTHER = {FIRST: tiny.SERIES[0], SECOND: tiny.SERIES[3]}
RESULTS = "results/tiny"


def add_external(clone: Path, patient: str = "Q", seed: int = 50) -> None:
    """Scans of another patient with the nodules of known ones, and the config's key for them."""
    rows = ["series_uid\tpatient_id\tct\tannotations\tlung_mask"]
    for number, (series, like) in enumerate(OTHER.items()):
        tiny.NODULES[series] = tiny.NODULES[like]
        tiny.write_scan(clone / "data", series, seed + number)
        stem = f"data/{series}"
        rows.append(f"{series}\t{patient}{number}\t{stem}.mhd\t{stem}.xml\t{stem}_lungs.mhd")
        del tiny.NODULES[series]
    (clone / "other.tsv").write_text("\n".join(rows) + "\n")
    running.configure(clone, external={"other": {"scans": "other.tsv"}})


def jobs(clone: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a run would start."""
    lines = running.run(clone, "--dry-run", *arguments).splitlines()
    start = max(number for number, line in enumerate(lines) if line.startswith("job  "))
    counts = {}
    for line in lines[start + 2 :]:
        if not line.strip():
            break
        rule, count = line.split()
        counts[rule] = int(count)
    return counts


def test_networks_are_tested_on_another_cohort(finished: Path) -> None:
    """Only the other cohort's jobs run; its scores, those of each network and the comparison."""
    add_external(finished)
    planned = jobs(finished, "external")
    assert "train" not in planned
    assert {name for name in planned if not name.startswith("external")} == {"transfer", "total"}
    running.run(finished, "--cores", "2", "external")
    place = finished / RESULTS / "external/other"
    manifest = pd.read_csv(place / "manifest.tsv", sep="\t")
    assert manifest["series_uid"].tolist() == list(OTHER)
    assert pd.read_csv(place / "folds.tsv", sep="\t")["fold"].tolist() == [0, 0]
    for stage in ("full", "full_fold0", "full_fold1"):
        predictions = pd.read_csv(place / stage / "predictions.csv", dtype={"seriesuid": str})
        assert set(predictions["seriesuid"]) <= set(OTHER)
        scored = pd.read_csv(place / stage / "froc.csv")
        assert set(scored["nodules"]) == {2}
    groups = pd.read_csv(place / "full/groups.csv").set_index(["cohort", "by"]).sort_index()
    assert groups.loc[("other", "all"), "nodules"] == 2
    assert groups.loc[("tiny", "all"), "nodules"] == 4
    assert len(pd.read_csv(place / "full/operating_points.csv")) == 7
    assert "Job " not in running.run(finished, "--dry-run", "external")
    running.run(finished, "--cores", "2")
    page = (finished / RESULTS / "report.html").read_text()
    assert "<h3>other</h3>" in page
    assert page.count("network of fold") == 2
    # The rules for its nodules are its own: nothing of the training cohort depends on them.
    own = {"scans": "other.tsv", "consensus": {"level": 4}}
    running.configure(finished, external={"other": own})
    changed = jobs(finished, "external")
    assert "external_other_consensus" in changed
    assert not {"consensus", "train"} & set(changed)


def test_a_scan_of_the_training_cohort_is_refused(finished: Path) -> None:
    """The same image under another name, then the same patient."""
    add_external(finished)
    for suffix in (".mhd", ".raw", "_lungs.mhd", "_lungs.raw"):
        own = finished / "data" / f"{FIRST}{suffix}"
        shutil.copy(finished / "data" / f"{tiny.SERIES[0]}{suffix}", own)
        own.write_bytes(own.read_bytes().replace(tiny.SERIES[0].encode(), FIRST.encode()))
    printed = running.fail(finished, "--cores", "2", "external")
    line = next(line for line in printed.splitlines() if line.startswith("error: "))
    assert f"scan {FIRST} of patient Q0: the same image is in the training cohort" in line
    assert f"scan {tiny.SERIES[0]} of patient P0" in line
    add_external(finished, patient="P")
    printed = running.fail(finished, "--cores", "2", "external")
    assert "patient P0 is in the training cohort too" in printed
    assert not (finished / RESULTS / "external/other/full").exists()


def test_with_given_weights_nothing_is_trained(fresh: Path, first_run: Path) -> None:
    for fold in (0, 1):
        path = f"{RESULTS}/fold{fold}/full/weights.pt"
        shutil.copy(first_run / path, fresh / f"fold{fold}.pt")
    add_external(fresh)
    train = tiny.CONFIG["train"] | {"evaluate": ["full"]}
    given = {f"fold{fold}": f"fold{fold}.pt" for fold in (0, 1)}
    running.configure(fresh, train=train, weights={"full": given})
    planned = jobs(fresh, "external")
    assert "train" not in planned
    assert planned["external_other_predict"] == 3


def test_a_fault_of_the_other_cohort_names_its_table(finished: Path) -> None:
    running.configure(finished, external={"other": {"scans": "gone.tsv"}})
    assert "gone.tsv" in running.fail(finished, "--dry-run")
    add_external(finished)
    (finished / f"data/{SECOND}.xml").unlink()
    printed = running.fail(finished, "--dry-run")
    assert f"other.tsv: data/{SECOND}.xml does not exist" in printed
    text = yaml.safe_load((finished / "config.yaml").read_text())
    assert "other" in text["external"]
