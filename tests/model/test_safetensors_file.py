"""Exported weights: what is read back, and files that cannot be read."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nodulenet.files import CorruptArtefact, InputError
from nodulenet.model import NoduleNet
from nodulenet.model.safetensors_file import read_card, read_exported, write_exported
from nodulenet.model.weights import FORMAT, Provenance, load_weights
from nodulenet.settings import ModelSettings, Recipe

TRAINED = Recipe(model=ModelSettings(width=0.05))
PROVENANCE = Provenance(TRAINED, ("ncs", "dfps"), "dfps", 0, 80)
CARD = {"format": FORMAT, "version": "1", **PROVENANCE.plain()}


def net() -> NoduleNet:
    torch.manual_seed(0)
    return NoduleNet(width=0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_exported(net().state_dict(), CARD, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_the_network_is_read_back_to_16_bits(path: Path) -> None:
    found, provenance = load_weights(path)
    assert provenance == PROVENANCE
    for (name, own), (other, read) in zip(
        net().state_dict().items(), found.state_dict().items(), strict=True
    ):
        assert name == other
        assert read.dtype == own.dtype
        wanted = own.half().float() if own.ndim > 1 else own
        assert torch.equal(read, wanted)


def test_the_file_takes_two_bytes_per_weight(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in net().state_dict()}
    number = sum(p.numel() for p in net().parameters())
    assert kinds == {torch.float16, torch.float32, torch.int64}
    assert 2 * number < path.stat().st_size < 3 * number  # of a network this small: 4 in 32 bits


def test_the_same_network_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_exported(net().state_dict(), CARD, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_a_value_beyond_16_bits_is_refused(tmp_path: Path, value: float) -> None:
    state = {"a.weight": torch.full((2, 2), value)}
    with pytest.raises(InputError, match=r"a\.weight has values that float16 cannot hold"):
        write_exported(state, CARD, tmp_path / "net.safetensors")
    assert not (tmp_path / "net.safetensors").exists()


def test_a_large_statistic_stays_in_32_bits(tmp_path: Path) -> None:
    write_exported({"variance": torch.full((3,), 1e5)}, CARD, tmp_path / "a.safetensors")
    assert read_exported(tmp_path / "a.safetensors")[1]["variance"].tolist() == [1e5] * 3


def test_a_file_of_something_else(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors: not exported by nodulenet"):
        read_card(tmp_path / "other.safetensors")


@pytest.mark.parametrize("length", [0, 5, 400, -1])
def test_a_file_cut_short(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"net\.safetensors: not a readable safetensors file"):
        load_weights(path)


def test_a_card_without_a_network(path: Path, tmp_path: Path) -> None:
    write_exported({}, CARD, tmp_path / "empty.safetensors")
    with pytest.raises(CorruptArtefact, match="does not hold the network that it names"):
        load_weights(tmp_path / "empty.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtefact, match=r"none\.safetensors: No such file"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises((InputError, OSError), match=r"folder\.safetensors.*[Ii]s a directory"):
        load_weights(tmp_path / "folder.safetensors")
