"""The one command for a card, with small work on the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SMALL = {
    "--device": "cpu",
    "--boxes": "200",
    "--width": "0.1",
    "--batch": "2",
    "--crop": "32",
    "--steps": "4",
    "--scan": "32",
}


def measure(folder: Path, *more: str) -> str:
    given = [word for pair in SMALL.items() for word in pair]
    command = [sys.executable, "-m", "benchmarks.gpu", *given, "--folder", folder, *more]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True)
    return (folder / "performance_gpu_cpu.md").read_text()


def test_every_part_is_measured(tmp_path: Path) -> None:
    page = measure(tmp_path)
    assert "Not measured" not in page
    assert "0, 1, 65 boxes, equal." in page
    for work in ("IoU, 200 x 200", "matching, 2 x 2,560 anchors", "pooling of 128 RoIs"):
        assert f"| {work} |" in page
    for stage in ("ncs", "dfps", "full"):
        assert f"| {stage} |" in page
    assert "32³ voxels" in page
    assert "h for stages ending in sr" in page
    assert "Failed" not in page


def test_what_the_minutes_do_not_hold_is_left_out_and_said(tmp_path: Path) -> None:
    page = measure(tmp_path, "--minutes", "0")
    assert page.count("Not measured: the minutes were over.") == 5
