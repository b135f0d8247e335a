"""`nodulenet export-weights` on a small finished run, and thresholds from its card."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from nodulenet import cli
from nodulenet.files import InputError, sha256
from nodulenet.findings.threshold import find_threshold
from nodulenet.model import NoduleNet
from nodulenet.model.safetensors_file import read_card
from nodulenet.model.weights import Provenance, load_weights, save_weights
from nodulenet.settings import ModelSettings, Recipe
from nodulenet.weights import BUNDLED, weights_name

SCORES = {
    "cpm": 0.9, "interval": [0.8, 1.0], "scans": 1, "nodules": 2, "rates": [0.5, 1.0],
    "sensitivity": [0.5, 1.0], "thresholds": [0.9, 0.7],
}  # fmt: skip


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The network of fold 0 of three scans, of which one is trained on alone."""
    cohort = tmp_path / "results/small"
    path = cohort / "fold0/full/weights.pt"
    trained = Recipe(model=ModelSettings(width=0.05))
    save_weights(
        NoduleNet(width=0.05), Provenance(trained, ("ncs", "dfps", "sr"), "full", 0, 9), path
    )
    (cohort / "full").mkdir()
    content = {"sets": {"ensemble": SCORES}, "segmentation": {"dice_all": 0.8}}
    (cohort / "full/froc.json").write_text(json.dumps(content))
    rows = [("1.1", "A", "0"), ("1.2", "B", "1"), ("1.3", "C", "train")]
    lines = ["series_uid\tpatient_id\tfold", *("\t".join(row) for row in rows)]
    (cohort / "folds.tsv").write_text("\n".join(lines) + "\n")
    write_manifest([("1.1", "A", 2), ("1.2", "B", 3), ("1.3", "C", 4)], cohort / "manifest.tsv")
    return path


def test_the_card_names_the_weights_that_the_training_started_from(
    weights: Path, tmp_path: Path
) -> None:
    output, cohort = tmp_path / "net.safetensors", weights.parents[2]
    assert export(weights, output, "--threshold", "0.5fp") == 0
    assert read_card(output)["started_from"] == []
    net, provenance = load_weights(weights)
    settings = provenance.settings
    train = settings.train.model_copy(update={"init": "bundled"})
    changed = replace(provenance, settings=settings.model_copy(update={"train": train}))
    save_weights(net, changed, weights)
    (cohort / "init.json").write_text(json.dumps({"networks": [{"sha256": "ab"}]}))
    assert export(weights, output, "--threshold", "0.5fp") == 0
    assert read_card(output)["started_from"] == ["ab"]
    (cohort / "init.json").write_text("{}")
    assert export(weights, output, "--threshold", "0.5fp") != 0


def write_manifest(scans: list[tuple[str, str, int]], path: Path) -> None:
    from nodulenet.cohort.manifest import COLUMNS, COUNTS, SHAPE

    rows = []
    for series, patient, nodules in scans:
        row = dict.fromkeys(COLUMNS, "a") | dict.fromkeys((*COUNTS, *SHAPE), str(nodules))
        row |= {"series_uid": series, "patient_id": patient, "status": "ok"}
        rows.append("\t".join(row[name] for name in COLUMNS))
    path.write_text("\n".join(["\t".join(COLUMNS), *rows]) + "\n")


def export(weights: Path, output: Path, *options: str) -> int:
    return cli.main(["export-weights", str(weights), "--output", str(output), *options])


def test_the_card_says_what_was_trained_and_tested(weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    assert export(weights, output, "--threshold", "0.5fp") == 0
    card = read_card(output)
    assert card["trained_on"] == {"cohort": "small", "scans": 2, "patients": 2, "nodules": 7}
    assert card["threshold"] == {"rate": 0.5, "probability": 0.9}
    assert card["operating_points"] == SCORES | {"dice": 0.8}
    assert (card["stage"], card["epochs"]) == ("full", 9)
    written = json.loads((tmp_path / "net.json").read_text())
    assert written.pop("sha256") == sha256(output)
    assert (written.pop("file"), written.pop("bytes")) == (output.name, output.stat().st_size)
    assert written == card
    assert load_weights(output)[1] == load_weights(weights)[1]


def test_thresholds_of_exported_weights(weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    assert export(weights, output) == 0
    assert find_threshold(None, [output]).probability == 0.7
    assert find_threshold(Fraction(1, 2), [output]).probability == 0.9
    assert find_threshold(0.2, [output]).probability == 0.2
    assert find_threshold(None, [weights]).probability == 0.5
    assert find_threshold(None, [output, output]).probability == 0.5
    with pytest.raises(InputError, match=r"net\.safetensors: no operating point at 3"):
        find_threshold(Fraction(3), [output])


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("net.pt", (), "the name of exported weights ends in .safetensors"),
        ("net.safetensors", ("--threshold", "4fp"), "no operating point at 4 false positives"),
    ],
)
def test_faults_write_nothing(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: tuple[str, ...],
    fault: str,
) -> None:
    assert export(weights, tmp_path / name, *options) == 1
    assert fault in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_only_the_bundled_detector_has_a_name() -> None:
    assert weights_name(BUNDLED) == "bundled detector, trained on synthetic CT alone"
    assert weights_name(Path("a/b.pt")) == "a/b.pt"
