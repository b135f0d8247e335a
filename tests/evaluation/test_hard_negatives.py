"""Which marks of given weights become hard negatives."""

from pathlib import Path

import pandas as pd
import pytest
import small_cohort

from nodulenet.evaluation import hard_negatives
from nodulenet.evaluation.truth import ScoredScan, read_cohort
from nodulenet.scan_table import NO_FOLD
from nodulenet.settings import Recipe


def test_marks_that_hit_nothing_are_written_and_the_worst_of_each_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = small_cohort.build(tmp_path)
    (nodule, _), *_ = small_cohort.NODULES["s1"]
    ((excluded, _),) = small_cohort.EXCLUDED["s1"]
    nothing = [(55, 70, 5 + k) for k in range(hard_negatives.PER_SCAN + 2)]
    rows = [
        {"seriesuid": scan, "probability": 0.9 - k / 100} | small_cohort.world(place)
        for scan, places in (("s1", [nodule, excluded, *nothing]), ("s2", nothing[:2]))
        for k, place in enumerate(places)
    ]
    asked: list[ScoredScan] = []

    def predicted(cohort: list[ScoredScan], *_: object) -> pd.DataFrame:
        asked.extend(cohort)
        return pd.DataFrame(rows)

    monkeypatch.setattr(hard_negatives, "predict_all", predicted)
    output = tmp_path / "hard.csv"
    hard_negatives.find_hard_negatives(files.manifest, files.folds, Path(), Recipe(), output)
    assert [scan.series_uid for scan in asked] == ["s0", "s1", "s2"]
    written = pd.read_csv(output)
    counts = {"s1": hard_negatives.PER_SCAN, "s2": 2}
    assert written.seriesuid.value_counts().to_dict() == counts
    for scan, number in counts.items():
        own = written[written.seriesuid == scan]
        expected = [small_cohort.world(place)["coordX"] for place in nothing[:number]]
        assert own.coordX.tolist() == expected


def test_the_scans_of_a_single_test_set_are_not_trained_on(tmp_path: Path) -> None:
    files = small_cohort.build(tmp_path)
    table = pd.read_csv(files.folds, sep="\t", dtype=str)
    table["fold"] = ["0", "train", "train"]
    table.to_csv(files.folds, sep="\t", index=False)
    chosen = hard_negatives.trained_on(read_cohort(files.manifest, files.folds, untested=True))
    assert [(scan.series_uid, scan.fold) for scan in chosen] == [("s1", NO_FOLD), ("s2", NO_FOLD)]
