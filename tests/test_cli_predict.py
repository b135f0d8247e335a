"""`nodulenet predict` as a person runs it, with an untrained network."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from chest import sample, turned_affine, write_dicom

from nodulenet import cli
from nodulenet.annotations import consensus, read_lidc_xml
from nodulenet.imaging import Volume, read_volume, write_volume
from nodulenet.model import NoduleNet
from nodulenet.model.weights import Provenance, save_weights
from nodulenet.settings import ModelSettings, Recipe
from nodulenet.weights import BUNDLED

AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)


def write_weights(path: Path, seed: int = 1) -> Path:
    """A network that finds something about everywhere, though little of it above 0.55."""
    torch.manual_seed(seed)
    net = NoduleNet(width=0.1)
    torch.nn.init.normal_(net.ncs.logits.weight, std=3)
    trained = Recipe(model=ModelSettings(width=0.1))
    save_weights(net, Provenance(trained, ("ncs", "dfps", "sr"), "full", 0, 1), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest as NIfTI, the weights of two folds, and their cohort's FROC."""
    folder = tmp_path_factory.mktemp("command")
    write_volume(sample(turned_affine(AXIAL)), folder / "chest.nii.gz")
    for fold in (0, 1):
        write_weights(folder / f"fold{fold}/full/weights.pt", seed=fold)
    points = {"rates": [1.0], "thresholds": [0.999]}
    (folder / "full").mkdir()
    (folder / "full/froc.json").write_text(json.dumps({"sets": {"ensemble": points}}))
    return folder


def predict(*arguments: object) -> int:
    return cli.main(["predict", *map(str, arguments), "--device", "cpu"])


def test_folds_mirrors_and_an_operating_point(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = [folder / f"fold{fold}/full/weights.pt" for fold in (0, 1)]
    options = ("--tta", "--threshold", "1fp", "--output", tmp_path)
    assert predict(folder / "chest.nii.gz", "--weights", *weights, *options) == 0
    said = capsys.readouterr()
    assert "chest: 0 findings in" in said.out
    assert "peak memory" in said.out
    assert "scan 1 of 1: network" in said.err
    content = json.loads((tmp_path / "findings.json").read_text())
    assert content["threshold"]["probability"] == 0.999
    assert content["inference"]["mirrors"] == 8
    assert [w["fold"] for w in content["weights"]] == [0, 0]
    assert len({w["sha256"] for w in content["weights"]}) == 2


def test_several_series_of_which_one_has_no_lungs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = tmp_path / "studies"
    write_dicom(studies / "a", sample(turned_affine(AXIAL)), "1.2.1")
    write_dicom(
        studies / "b", Volume(np.zeros((6, 30, 30), np.int16), turned_affine(AXIAL)), "1.2.2"
    )
    (studies / "notes.txt").write_text("x")
    weights = folder / "fold0/full/weights.pt"
    output = tmp_path / "out"
    options = ("--threshold", 0.99, "--output", output)
    assert predict(studies, "--weights", weights, *options) == 1
    said = capsys.readouterr()
    assert "skipped" in said.err
    assert "not predicted: " in said.err
    assert said.err.splitlines()[-1] == (
        f"nodulenet: {studies}: 1 of 2 series could not be predicted"
    )
    assert (output / "1.2.1/report.html").exists()
    assert not (output / "1.2.2").exists()
    assert predict(studies, "--weights", weights, "--series", "1.2.1", *options) == 0
    assert (output / "report.html").exists()


def test_tiles(folder: Path, tmp_path: Path) -> None:
    weights = folder / "fold0/full/weights.pt"
    options = ("--threshold", 0.99, "--tile", 160, "--output", tmp_path)
    assert predict(folder / "chest.nii.gz", "--weights", weights, *options) == 0
    content = json.loads((tmp_path / "findings.json").read_text())
    assert content["inference"]["tile"] == 160
    assert content["inference"]["halo"] == 64


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["{f}/none", "--weights", "{w}"], "none: no such file or folder"),
        (["{f}/full", "--weights", "{w}"], "full: no CT series (skipped"),
        (["{f}/chest.nii.gz", "--weights", "{f}/none.pt"], "none.pt: No such file"),
        (["{f}/chest.nii.gz", "--weights", "{f}/chest.nii.gz"], "chest.nii.gz: is no torch file"),
        (["{f}/chest.nii.gz", "--weights", "{t}/other.pt"], "other.pt: not a nodulenet weights"),
        (["{f}/chest.nii.gz", "--weights", "{t}/w.pt", "--threshold", "1fp"], "no FROC beside"),
        (["{t}/zero.nii.gz", "--weights", "{w}"], "zero.nii.gz: series zero: no lungs"),
        ([], "predict: needs either INPUT or --demo"),
        (["{f}/chest.nii.gz", "--demo"], "predict: needs either INPUT or --demo"),
    ],
)
def test_a_fault_is_one_line(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    fault: str,
) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    write_weights(tmp_path / "w.pt")
    write_volume(Volume(np.zeros((9, 30, 30), np.int16), np.eye(4)), tmp_path / "zero.nii.gz")
    names = {"f": folder, "t": tmp_path, "w": folder / "fold0/full/weights.pt"}
    given = [argument.format(**names) for argument in arguments]
    assert predict(*given, "--output", tmp_path / "out") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("nodulenet")]
    assert len(lines) == 1
    assert fault in lines[0]


def test_without_weights_the_bundled_detector_is_used_and_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(folder / "chest.nii.gz", "--output", tmp_path) == 0
    card = json.loads(BUNDLED.with_suffix(".json").read_text())
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("bundled detector, trained on synthetic CT alone; threshold 0.")
    assert said.endswith("for research, not for diagnosis")
    content = json.loads((tmp_path / "findings.json").read_text())
    (used,) = content["weights"]
    assert used["name"] == "bundled detector, trained on synthetic CT alone"
    assert used["sha256"] == card["sha256"]
    assert content["threshold"]["probability"] == card["threshold"]["probability"]
    assert used["name"] in (tmp_path / "report.html").read_text()


def test_the_demo_finds_nodules_that_its_readers_outlined(tmp_path: Path) -> None:
    assert predict("--demo", "--output", tmp_path) == 0
    found = json.loads((tmp_path / "findings.json").read_text())["findings"]
    ct = read_volume(tmp_path / "demo/ct.mhd")
    sessions = read_lidc_xml(tmp_path / "demo/readers.xml").sessions
    masks = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "masks.nii.gz")))
    for group in consensus(sessions, ct.slice_geometry(), level=3):
        box = tuple(slice(o, o + n) for o, n in zip(group.offset, group.mask.shape, strict=True))
        assert masks[box][group.mask].any()
    assert len(found) < 20


def test_an_output_that_cannot_be_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    weights = folder / "fold0/full/weights.pt"
    assert (
        predict(folder / "chest.nii.gz", "--weights", weights, "--output", tmp_path / "file") == 1
    )
    assert "file: cannot be written: File exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--threshold", "2"),
        ("--threshold", "fp"),
        ("--tile", "128"),
        ("--tile", "100"),
        ("--pad-value", "256"),
    ],
)
def test_wrong_usage(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        predict("a", "--weights", "w", "--output", "o", *wrong)
    assert stopped.value.code == 2
    assert wrong[1] in capsys.readouterr().err
