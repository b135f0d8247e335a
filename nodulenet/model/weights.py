"""The weights file: a network and everything needed to use it."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from nodulenet import __version__
from nodulenet.files import CorruptArtefact, InputError, own_artefact, replacing
from nodulenet.model.network import NoduleNet
from nodulenet.model.safetensors_file import is_exported, read_exported
from nodulenet.settings import ModelSettings, PreprocessSettings, Recipe
from nodulenet.settings.reading import explain

FORMAT = 1
TORCH_FILES = (b"PK\x03\x04", b"\x80\x02")
"""First bytes of torch files: archives, and the pickles of old versions."""


@dataclass(frozen=True)
class SourceCheckpoint:
    """The checkpoint that a weights file was converted from: its name and SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What a network is and how it was trained.

    settings: the sections of the config that the training depended on; branches: those trained;
    fold: the held-out one, None if unknown; epochs: of the stage and its ancestors together;
    imported_from: None for a network that was trained by this package.
    """

    settings: Recipe
    branches: tuple[str, ...]
    stage: str
    fold: int | None
    epochs: int
    imported_from: SourceCheckpoint | None = None

    @property
    def model(self) -> ModelSettings:
        """The settings of the network."""
        return self.settings.model

    @property
    def preprocess(self) -> PreprocessSettings:
        """The preprocessing of the images that it was trained on."""
        return self.settings.preprocess

    @property
    def margin_total(self) -> float:
        """Voxels by which the network's boxes are larger than the nodules, along each axis."""
        return self.settings.targets.margin_total

    def plain(self) -> dict[str, Any]:
        """The content of a weights file besides its tensors, in plain types."""
        origin = {"imported_from": vars(self.imported_from)} if self.imported_from else {}
        return {
            "model": self.model.plain(),
            "branches": tuple(self.branches),
            "preprocess": self.preprocess.plain(),
            "stage": self.stage,
            "fold": self.fold,
            "epochs": self.epochs,
            "settings": self.settings.plain() | origin,
        }


def save_tensors(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain types with torch, completely or not at all, with reproducible bytes.

    The content is serialised in memory: given a path, torch writes the file name into the file, and
    reports a full disk as an internal error.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_tensors(path: Path) -> dict[str, Any]:
    """Read what `save_tensors` wrote; only tensors and plain types are unpickled.

    Raises `CorruptArtefact` naming a file that is missing, damaged or contains anything else.
    """
    with own_artefact(path):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a damaged pickle can raise anything
            raise InputError(f"{path}: {_load_fault(path, error)}") from error
        if not isinstance(content, dict):
            fault = f"holds a {type(content).__name__}, not a table of tensors"
            raise InputError(f"{path}: {fault}")
        return content


def _load_fault(path: Path, error: Exception) -> str:
    """Why torch cannot load a file: its own message is about its options, not about the file."""
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
    content = {"format": FORMAT, "version": __version__, "state_dict": net.state_dict()}
    save_tensors(provenance.plain() | content, path)


def load_weights(path: Path) -> tuple[NoduleNet, Provenance]:
    """Read a weights file, `.pt` or exported; settings missing in older files have their published
    values.

    Raises `InputError` if it is of another format or has settings of another version that this one
    does not know, `CorruptArtefact` if it is damaged or does not fit its own model.
    """
    content = _read(path)
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: not a nodulenet weights file of format {FORMAT}")
    with own_artefact(path):
        try:
            settings = _sections(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: holds no settings: {error}") from error
    trained = _read_settings(settings, content.get("version"), path)
    with own_artefact(path):
        try:
            origin = content["settings"].get("imported_from")
            provenance = Provenance(
                trained,
                tuple(content["branches"]),
                content["stage"],
                content["fold"],
                content["epochs"],
                SourceCheckpoint(**origin) if origin else None,
            )
            net = NoduleNet(**provenance.model.plain())
            net.load_state_dict(content["state_dict"])
        except (KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            fault = f"{path}: does not hold the network that it names: {reason}"
            raise InputError(fault) from error
        return net, provenance


def _read(path: Path) -> dict[str, Any]:
    """The content of a weights file of either kind."""
    if not is_exported(path):
        return load_tensors(path)
    card, tensors = read_exported(path)
    return card | {"state_dict": tensors}


def _sections(content: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of the config in a weights file, its model and preprocessing included.

    Older files list other stages without their branches. Nothing depends on them, so such a table
    of stages is dropped.
    """
    sections = {name: dict(section) for name, section in content["settings"].items()}
    sections.pop("imported_from", None)
    sections |= {name: dict(content[name]) for name in ("model", "preprocess")}
    train = sections.get("train", {})
    if not all("branches" in stage for stage in train.get("stages", {}).values()):
        sections["train"] = {k: v for k, v in train.items() if k not in ("stages", "evaluate")}
    return sections


def _read_settings(sections: Mapping[str, Any], version: Any, path: Path) -> Recipe:
    try:
        return Recipe.model_validate(sections)
    except ValidationError as error:
        fault = explain(error, Recipe)
        message = f"{path}: settings: {fault} (written by nodulenet {version})"
        if version == __version__:  # which does not write what it cannot read
            raise CorruptArtefact(message, path) from None
        raise InputError(message) from None
