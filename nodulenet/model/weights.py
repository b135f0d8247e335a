"""The weights file: a network and everything that is needed to use it again."""

import dataclasses
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nodulenet import __version__
from nodulenet.files import InputError, replacing
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
    """Write tensors and plain types with torch, whole or not at all."""
    with replacing(path) as temporary:
        torch.save(dict(content), temporary)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read what `save_tensors` wrote. Raises `InputError` naming the file and the fault."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{path}: {_fault(path, error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a table of tensors")
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
    """Read a weights file. Raises `InputError` if it is not one or does not fit its own model."""
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: not a nodulenet weights file of format {FORMAT}")
    try:
        provenance = Provenance(**{f.name: content[f.name] for f in dataclasses.fields(Provenance)})
        net = NoduleNet(**provenance.model)
        net.load_state_dict(content["state_dict"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: does not hold the network that it names: {reason}") from error
    return net, provenance
