"""`nodulenet train`: a stage outside the workflow."""

import copy
import re
import shutil
from pathlib import Path

import pytest
import small_training
import torch
import yaml

from nodulenet.cli import main
from nodulenet.training import train_stage


@pytest.fixture
def config(tmp_path: Path) -> Path:
    small_training.write_cohort(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {"cohort": "small", "scans": "scans.tsv", **small_training.SETTINGS}, sort_keys=False
        )
    )
    return path


def test_stages_are_trained_as_in_the_workflow(config: Path, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("train: {lr: 0.02}")
    for stage in ("ncs", "full"):
        words = ["--config", str(config), str(over), "--fold", "1", "--stage", stage]
        assert main(["train", str(tmp_path), *words, "--threads", "1"]) == 0
    settings = copy.deepcopy(small_training.SETTINGS)
    settings["train"]["lr"] = 0.02
    tables = (tmp_path / "manifest.tsv", tmp_path / "folds.tsv")
    train_stage(small_training.job(tables, "ncs", tmp_path / "ncs", settings), threads=1)
    mine, its = (small_training.tensors(tmp_path / name) for name in ("ncs", "fold1/ncs"))
    assert all(torch.equal(mine[name], its[name]) for name in mine)
    assert (tmp_path / "fold1/full/weights.pt").exists()


def test_a_copy_of_the_volumes_trains_into_the_shared_folder(config: Path, tmp_path: Path) -> None:
    """What docs/scaling.md does on a node's own disk."""
    shared, local = tmp_path, tmp_path / "local"
    local.mkdir()
    for path in [*shared.glob("1.*"), shared / "manifest.tsv", shared / "folds.tsv"]:
        shutil.move(path, local) if path.suffix == ".npy" else shutil.copy(path, local)
    (shared / "fold1").mkdir()
    (local / "fold1").symlink_to(shared / "fold1")
    words = ["--config", str(config), "--fold", "1", "--stage", "ncs", "--threads", "1"]
    assert main(["train", str(local), *words]) == 0
    made = sorted(path.name for path in (shared / "fold1/ncs").iterdir())
    assert made == ["history.csv", "momentum.pt", "tensorboard", "weights.pt"]
    small_training.write_cohort(shared)
    tables = (shared / "manifest.tsv", shared / "folds.tsv")
    train_stage(small_training.job(tables, "ncs", tmp_path / "ncs"), threads=1)
    mine, its = (small_training.tensors(tmp_path / name) for name in ("ncs", "fold1/ncs"))
    assert all(torch.equal(mine[name], its[name]) for name in mine)


@pytest.mark.parametrize(
    ("content", "stage", "message"),
    [
        ("{}", "later", "'later' is none of ncs, full"),
        ("train: {batc: 3}", "ncs", "train.batc: there is no such key, did you mean batch?"),
        ("train: [", "ncs", "over.yaml: not valid YAML: "),
        ("[1]", "ncs", "over.yaml: contains no keys"),
        ("ncs: 3", "ncs", "over.yaml: ncs: 3 should be a section of keys"),
    ],
)
def test_faults_are_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], content: str, stage: str, message: str
) -> None:
    over = config.with_name("over.yaml")
    over.write_text(content)
    words = ["--config", str(config), str(over), "--fold", "1", "--stage", stage]
    assert main(["train", str(config.parent), *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nodulenet: ")
    assert re.search(message, line)
