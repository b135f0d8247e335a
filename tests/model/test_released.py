"""Import of a published checkpoint: what it refuses, and that the function stays the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import published_network as published
import pytest
import torch
from torch import Tensor

from nodulenet import cli
from nodulenet.files import InputError, sha256
from nodulenet.inference.predictor import Member, Predictor
from nodulenet.inference.scan import predict_window
from nodulenet.model import NoduleNet
from nodulenet.model.backbone import Features
from nodulenet.model.released import check_frame, converted, import_weights, released_settings
from nodulenet.model.roi_pool import CropGroup
from nodulenet.model.weights import SourceCheckpoint, load_weights
from nodulenet.settings import InferenceSettings, ModelSettings

PLACES = {
    "stem": ["backbone.stem"],
    "enc1": ["backbone.enc1"],
    "enc2": ["backbone.enc2"],
    "enc3": ["backbone.enc3"],
    "enc4": ["backbone.enc4"],
    "dec3 upsampling": ["backbone.up3"],
    "dec3 residual": ["backbone.dec3"],
    "dec2 upsampling": ["backbone.up2"],
    "dec2 residual": ["backbone.dec2"],
    "NCS head": ["ncs"],
    "DFPS head": ["dfps"],
    "SR first upsampling conv": ["sr.to_half"],
    "SR conv after enc1 concat": ["sr.at_half"],
    "SR second upsampling conv": ["sr.to_full"],
    "SR conv after image concat": ["sr.at_full"],
    "SR logit": ["sr.logits"],
}


def write(path: Path, state: dict[str, Any], **changes: Any) -> Path:
    content = {"epoch": 200, "out_dir": "out", "state_dict": state, "optimizer": {"state": {}}}
    kept = {key: value for key, value in (content | changes).items() if value is not ...}
    torch.save(kept, path)
    return path


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return published.random_state()


@pytest.fixture(scope="module")
def imported(
    state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("released")
    checkpoint, weights = write(folder / "released.ckpt", state), folder / "weights.pt"
    assert cli.main(["import-weights", str(checkpoint), "--output", str(weights)]) == 0
    return checkpoint, weights


@pytest.fixture(scope="module")
def net(imported: tuple[Path, Path]) -> NoduleNet:
    return load_weights(imported[1])[0].eval()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(2, 1, 32, 32, 48, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def features(net: NoduleNet, image: Tensor) -> Features:
    with torch.no_grad():
        return net.backbone(image)


def close(ours: Tensor, reference: Tensor) -> None:
    """Equal to 1e-4, and not by being constant or small."""
    assert reference.std() > 0.05
    torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-4)


def test_the_backbone_computes_the_same(
    state: dict[str, Tensor], image: Tensor, features: Features
) -> None:
    for ours, reference in zip(features[1:], published.backbone(state, image), strict=True):
        close(ours, reference)


def test_screening_computes_the_same(
    state: dict[str, Tensor], net: NoduleNet, features: Features
) -> None:
    logits, deltas = published.screen(state, features.dec2)
    with torch.no_grad():
        ours = net.ncs(features.dec2)
    grid = (2, *features.dec2.shape[2:], 5)
    for a in range(5):
        close(ours[0].reshape(grid)[..., a], logits[:, a])
        for k in range(6):
            close(ours[1].reshape(*grid, 6)[..., a, k], deltas[:, 6 * a + k])


def test_suppression_computes_the_same(
    state: dict[str, Tensor], net: NoduleNet, features: Features
) -> None:
    # Boxes (z, y, x, d, h, w) in voxels, and their corners / 4, floored, ceiled and clipped.
    boxes = torch.tensor([[14.0, 20, 28, 9, 17, 30], [2, 24, 42, 12, 30, 12]])
    crops = [
        features.enc2[1, :, 2:5, 2:8, 3:11],
        features.enc2[0, :, 0:2, 2:8, 9:12],
    ]
    with torch.no_grad():
        logits, deltas = net.score(features, torch.tensor([1, 0]), boxes)
    reference = [published.suppress(state, crop) for crop in crops]
    close(logits, torch.stack([pair[0] for pair in reference]))
    close(deltas, torch.stack([pair[1] for pair in reference])[:, 6:])


def test_refinement_computes_the_same(
    state: dict[str, Tensor], net: NoduleNet, image: Tensor, features: Features
) -> None:
    with torch.no_grad():
        group = CropGroup((16, 20, 28), np.array([[1, 8, 0, 12], [0, 8, 0, 12]]))
        (ours,) = net.sr(features, [group])
    for item, found in zip((1, 0), ours, strict=True):
        reference = published.refine(
            state,
            image[item : item + 1, :, 8:24, 0:20, 12:40],
            features.enc1[item : item + 1, :, 4:12, 0:10, 6:20],
            features.dec2[item : item + 1, :, 2:6, 0:5, 3:10],
        )
        close(found, reference)


def test_every_tensor_is_where_the_list_says(state: dict[str, Tensor], net: NoduleNet) -> None:
    """Biases before a normalisation have no effect: their places do not show in the outputs."""
    own = net.state_dict()
    for part, places in PLACES.items():
        rows = [row["key"] for row in published.read_list() if row["part"] == part]
        held = [own[name] for name in own if name.startswith(tuple(f"{p}." for p in places))]
        assert len(held) == len(rows)
        for key in rows:
            same = [t for t in held if t.shape == state[key].shape and torch.equal(t, state[key])]
            assert len(same) == 1, key
    used = [row for row in published.read_list() if row["part"] != "unused"]
    assert len(own) == len(used) == 305


def test_the_weights_file_says_what_it_is(imported: tuple[Path, Path]) -> None:
    _, provenance = load_weights(imported[1])
    assert provenance.branches == ("ncs", "dfps", "sr")
    assert (provenance.stage, provenance.fold, provenance.epochs) == ("full", None, 200)
    assert provenance.model == ModelSettings()
    assert provenance.settings == released_settings()
    assert provenance.imported_from == SourceCheckpoint("released.ckpt", sha256(imported[0]))


def test_the_weights_predict_under_the_released_conventions(imported: tuple[Path, Path]) -> None:
    net, provenance = load_weights(imported[1])
    volume = np.random.default_rng(0).integers(0, 256, (20, 30, 28)).astype(np.uint8)
    unsegmented = Member(net.eval(), replace(provenance, branches=("ncs", "dfps")))
    found = predict_window(Predictor([unsegmented], InferenceSettings(), amp=False), volume)
    assert len(found.ncs_boxes) > 0
    assert found.dfps_boxes is not None
    np.testing.assert_array_equal(found.dfps_boxes, found.ncs_boxes)  # they are not refined
    assert provenance.settings.sr.snap == "truncate"
    assert provenance.margin_total == 8


FC1, NORM = "rcnn_head.fc1.weight", "feature_net.forw1.0.bn1.num_batches_tracked"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rpn.logits.bias": ...}, "state_dict: rpn.logits.bias is missing"),
        ({FC1: ..., NORM: ...}, f"{NORM} is missing (and 1 more)"),
        ({"mask_head.logits2.bias": ...}, "mask_head.logits2.bias is missing"),
        ({"module.x": torch.ones(1)}, "module.x is no part of the published network"),
        ({"rpn.logits.bias": torch.ones(6)}, "rpn.logits.bias has the shape (6,), not (5,)"),
        ({"mask_head.logits2.bias": torch.ones(2)}, "logits2.bias has the shape (2,), not (1,)"),
        ({"rpn.logits.bias": torch.ones(5).half()}, "is of type torch.float16, not torch.float32"),
        ({"rpn.logits.bias": torch.full((5,), torch.nan)}, "holds values that are not finite"),
        ({"rpn.logits.bias": [1.0] * 5}, "rpn.logits.bias is a list, not a tensor"),
    ],
)
def test_another_network_is_refused(
    state: dict[str, Tensor], net: NoduleNet, changes: dict[str, Any], fault: str
) -> None:
    other = {key: value for key, value in (state | changes).items() if value is not ...}
    with pytest.raises(InputError) as error:
        converted(other, net.state_dict(), Path("a.ckpt"))
    assert str(error.value).startswith("a.ckpt: state_dict: ")
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"epoch": ...}, "epoch is missing"),
        ({"state_dict": ...}, "state_dict is missing"),
        ({"epoch": "200"}, "epoch: '200' is no number of epochs"),
        ({"state_dict": [1]}, "state_dict: a list, not a table of tensors"),
        ({"fold": 1}, "unknown key fold"),
    ],
)
def test_another_frame_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], fault: str
) -> None:
    checkpoint, weights = write(tmp_path / "a.ckpt", {}, **changes), tmp_path / "weights.pt"
    assert cli.main(["import-weights", str(checkpoint), "--output", str(weights)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"nodulenet: {checkpoint}: ")
    assert fault in told
    assert told.count("\n") == 1
    assert not weights.exists()


@pytest.mark.parametrize(("epoch", "told"), [(79, True), (80, False)])
def test_a_head_that_was_not_trained_yet_is_warned_of(
    caplog: pytest.LogCaptureFixture, epoch: int, told: bool
) -> None:
    check_frame({"epoch": epoch, "state_dict": {}}, Path("a.ckpt"), released_settings())
    assert ("a.ckpt: of epoch 79" in caplog.text) == told


def test_the_shipped_list_is_the_given_one(nodulenet_data: Path) -> None:
    given = nodulenet_data.parent / "released_checkpoint_keys.tsv"
    if not given.exists():
        pytest.skip(f"{given.name} is not at hand")
    assert published.read_list() == published.read_list(given)


def test_files_that_torch_cannot_load_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"epoch": 1, "state_dict": {"a": torch.zeros(3)}}, path)
    whole = path.read_bytes()
    torch.save({"epoch": Path}, path)
    odd = path.read_bytes()
    for content, fault in (
        (b"", "is empty"),
        (b"hello world", "is no torch file"),
        (bytes(100), "is no torch file"),
        (whole[:-100], "not a readable torch file, cut short or damaged: "),
        (odd, "not a readable torch file: holds more than tensors and plain values"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            import_weights(path, tmp_path / "weights.pt")
        assert str(error.value).startswith(f"{path}: {fault}")
        assert "weights_only" not in str(error.value)
        assert len(str(error.value).splitlines()) == 1
