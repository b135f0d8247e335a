"""The weights file: a network and everything that is needed to use it again."""

import dataclasses
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nodulenet import __version__
from nodulenet.files import InputError, own_artefact, replacing
from nodulenet.model.network import NoduleNet

FORMAT = 1
TORCH_FILES = (b"PK\x03\x04", b"\x80\x02")
"""How the files of torch begin: archives, and the pickles of its old versions."""


@dataclass(frozen=True)
class Provenance:
    """What a network is and how it was trained, in plain types.

    model: the settings of `NoduleNet`; branches: those trained; preprocess: the parameters of
    the images; fold: the one that training left out, None where that is not known; settings: the
    sections of the config that decided the training.
    """

    model: Mapping[str, Any]
    branches: tuple[str, ...]
    preprocess: Mapping[str, Any]
    stage: str
    fold: int | None
    epochs: int
    settings: Mapping[str, Any]


def save_tensors(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain types with torch, whole or not at all, the same bytes for the same.

    By way of memory: given a path, torch writes its name into the file, and reports a full disk as
    an internal error.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_tensors(path: Path) -> dict[str, Any]:
    """Read what `save_tensors` wrote; nothing but tensors and plain types is ever unpickled.

    Raises `CorruptArtefact` naming a file that is missing, damaged or holds anything else.
    """
    with own_artefact(path):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a damaged pickle can raise anything
            raise InputError(f"{path}: {_fault(path, error)}") from error
        if not isinstance(content, dict):
            fault = f"holds a {type(content).__name__}, not a table of tensors"
            raise InputError(f"{path}: {fault}")
        return content


def _fault(path: Path, error: Exception) -> str:
    """Why torch cannot load a file: its own words speak of its options, not of the file."""
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        return "is empty"
    if not head.startswith(TORCH_FILES):
        return "is no torch file"
    if isinstance(error, pickle.UnpicklingError):
        return "not a readable torch file: holds more than tensors and plain values, or is damaged"
    return f"not a readable torch file, cut short or damaged: {str(error).partition('. ')[0]}"


def save_weights(net: NoduleNet, provenance: Provenance, path: Path) -> None:
    """Write a weights file."""
    content = dataclasses.asdict(provenance) | {
        "format": FORMAT,
        "version": __version__,
        "state_dict": net.state_dict(),
    }
    save_tensors(content, path)


def load_weights(path: Path) -> tuple[NoduleNet, Provenance]:
    """Read a weights file.

    Raises `InputError` if it is of another format, `CorruptArtefact` if it is damaged or does not
    fit its own model.
    """
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: not a nodulenet weights file of format {FORMAT}")
    names = [field.name for field in dataclasses.fields(Provenance)]
    with own_artefact(path):
        try:
            provenance = Provenance(**{name: content[name] for name in names})
            net = NoduleNet(**provenance.model)
            net.load_state_dict(content["state_dict"])
        except (KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            fault = f"{path}: does not hold the network that it names: {reason}"
            raise InputError(fault) from error
        return net, provenance
