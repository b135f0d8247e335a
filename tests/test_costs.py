"""What the benchmarks of scale count, by hand and against Snakemake."""

from pathlib import Path

import pandas as pd
import pytest
from snakemake.settings.types import Batch

from benchmarks.costs import by_folder, by_rule
from benchmarks.dag import MADE, write_results
from nodulenet.cohort.timings import COLUMNS


def test_costs_by_rule() -> None:
    rows = [
        ["preprocess", "1.1", "", 4.0, 2.0, 300.0],
        ["preprocess", "1.2", "", 6.0, 4.0, 500.0],
        ["folds", "", "", 0.5, 0.25, 90.0],
    ]
    table = by_rule(pd.DataFrame(rows, columns=list(COLUMNS)), scans=2)
    assert table.loc["preprocess"].tolist() == [2, 5.0, 3.0, 3.0, 500.0]
    assert table.loc["folds"].tolist() == [1, 0.5, 0.25, 0.12, 90.0]


def test_sizes_by_folder(tmp_path: Path) -> None:
    sizes = {
        "manifest.tsv": 1000,
        "volumes/1.1.npy": 3_000_000,
        "volumes/1.2.npy": 1_000_000,
        "fold0/full/weights.pt": 500_000,
        "fold1/ncs/weights.pt": 500_000,
        "fold1/full/masks/1.2.npz": 250_000,
    }
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    table = by_folder(tmp_path, scans=2)
    assert {name: row.tolist() for name, row in table.iterrows()} == {
        "fold*/*/masks/": [1, 0.2, 0.125],
        "fold*/*/weights.pt": [2, 1.0, 0.5],
        "tables": [1, 0.0, 0.0],
        "volumes/": [2, 4.0, 2.0],
    }


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_batch_finds_what_the_batches_before_made(tmp_path: Path, number: int) -> None:
    series = [f"1.2.826.{scan}" for scan in range(11)]
    inputs = [f"results/nodules/{one}.csv" for one in series]
    inputs += [f"results/volumes/{one}.json" for one in series]
    before = {
        path
        for earlier in range(1, number)
        for path in Batch("manifest", earlier, 4).get_batch([*inputs, "scans.tsv"])
    }
    write_results(tmp_path / "results", len(series), f"manifest={number}/4")
    assert {path for path in inputs if (tmp_path / path).exists()} == before
    made = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    nodules = sum("nodules" in path for path in before)
    volumes = len(before) - nodules
    assert len(made) == nodules * len(MADE["nodules"]) + volumes * len(MADE["volumes"])
