"""Exported weights: a safetensors file with matrices in 16 bits, and its card in the header."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nodulenet.files import InputError, own_artefact, replacing

SUFFIX = ".safetensors"
HEADER = "nodulenet"
"""The key of the card in the header. One key alone: several would be written in a random order."""


def is_exported(path: Path) -> bool:
    """Whether a path names exported weights."""
    return path.suffix == SUFFIX


def write_exported(state: Mapping[str, Tensor], card: Mapping[str, Any], path: Path) -> None:
    """Write a network's tensors and a card of plain types, with reproducible bytes.

    Tensors of two dimensions or more are rounded to float16; biases and the statistics of the
    normalisations, which are few, stay as they are. Raises `InputError` for a value beyond float16.
    """
    small = {}
    for name, tensor in state.items():
        kind = torch.float16 if tensor.ndim > 1 else tensor.dtype
        small[name] = tensor.to(kind).contiguous()
        if not small[name].isfinite().all():
            raise InputError(f"{path}: {name} has values that float16 cannot hold")
    with replacing(path) as temporary:
        temporary.write_bytes(save(small, {HEADER: json.dumps(card, sort_keys=True)}))


def read_exported(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card and the tensors of exported weights; float16 becomes float32.

    Raises `CorruptArtefact` naming a file that is missing or damaged, `InputError` for a
    safetensors file of something else.
    """
    card = read_card(path)
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return card, {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def read_card(path: Path) -> dict[str, Any]:
    """The card of exported weights, without reading the tensors. Raises as `read_exported`."""
    with _opened(path) as file:
        text = (file.metadata() or {}).get(HEADER)
    if text is None:
        raise InputError(f"{path}: not exported by nodulenet: its header has no card")
    with own_artefact(path):
        try:
            card = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path}: its card is not JSON: {error}") from error
        if not isinstance(card, dict):
            raise InputError(f"{path}: its card is not a table")
        return card


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; the library's errors become an `InputError` that names it."""
    with own_artefact(path):
        # The library's own error for a missing file, a folder or one without permission says less.
        with path.open("rb"):
            pass
        try:
            with safe_open(path, framework="pt") as file:
                yield file
        except SafetensorError as error:
            raise InputError(f"{path}: not a readable safetensors file: {error}") from error
