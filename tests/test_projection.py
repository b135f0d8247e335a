"""The costs of a large cohort, worked by hand, and the page that shows them."""

from pathlib import Path

import pytest
import yaml

from benchmarks.projection import CONFIG, FIGURES, project, row
from nodulenet.settings import Settings, read_settings

ROOT = Path(__file__).parents[1]
ASSUMED_TFLOPS = 10


def test_costs_by_hand() -> None:
    figures = {
        "nodules_per_scan": 2,
        "scan": {"a": {"cpu_s": 3}, "b": {"cpu_s": 6}},
        "crop": {"ncs": {"cpu_s": 9, "gflop": 100}, "sr": {"cpu_s": 18, "gflop": 300}},
        "prediction": {"cpu_s": 12, "gflop": 600},
        "tables": {"cpu_s": 0.12, "stage_cpu_s": 0.24},
        "kept": {"scan_mb": 5, "scan_files": 7, "stage_mb": 100, "stage_files": 4},
    }
    config = {
        "cohort": "a",
        "scans": "a.tsv",
        "folds": {"number": 4},
        "augment": {"random_crops": 0.5},
        "train": {
            "stages": {
                "ncs": {"epochs": 10, "branches": ["ncs"]},
                "full": {"after": "ncs", "epochs": 20, "branches": ["ncs", "dfps", "sr"]},
            },
            "evaluate": ["full"],
        },
    }
    costs = project(1000, figures, Settings.model_validate(config), tflops=0.5)
    # An epoch of all four folds: 3 x 1000 scans x 2 nodules x 1.5 crops = 9,000 crops.
    assert costs.crops == 9000 * 30
    assert costs.training == pytest.approx((90_000 * 9 + 180_000 * 18) / 3600)
    assert costs.training_gpu == pytest.approx((90_000 * 100 + 180_000 * 300) / 500 / 3600)
    assert costs.predicting == pytest.approx(12_000 / 3600)
    assert costs.predicting_gpu == pytest.approx(600_000 / 500 / 3600)
    assert costs.preparing == pytest.approx(2.5)
    assert costs.gathering == pytest.approx(0.1)
    # Two jobs a scan; two stages and one prediction a fold.
    assert costs.jobs == 2000 + 12
    assert costs.gigabytes == pytest.approx(5.8)
    assert costs.files == 7032


@pytest.mark.parametrize("scans", [1018, 10_000, 100_000])
def test_the_page_has_what_the_script_prints(scans: int) -> None:
    figures = yaml.safe_load(FIGURES.read_text())
    config = read_settings([ROOT / name for name in CONFIG])
    assert (
        row(project(scans, figures, config, ASSUMED_TFLOPS))
        in (ROOT / "docs/scaling.md").read_text().splitlines()
    ), "stale: python -m benchmarks.projection --tflops 10"
