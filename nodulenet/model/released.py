"""Conversion of checkpoints of the published implementation (Tang, Zhang and Xie, MICCAI 2019).

Only the names and shapes of its tensors are used here, and the layers that they belong to.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodulenet.files import InputError, sha256, workflow_folder
from nodulenet.model.network import NoduleNet
from nodulenet.model.weights import Provenance, SourceCheckpoint, load_tensors, save_weights
from nodulenet.settings import Recipe, read_config

log = logging.getLogger(__name__)

KEYS = {"epoch", "out_dir", "state_dict", "optimizer"}

PLACES = {
    "backbone.stem": "feature_net.preBlock",
    "backbone.enc1": "feature_net.forw1",
    "backbone.enc2": "feature_net.forw2",
    "backbone.enc3": "feature_net.forw3",
    "backbone.enc4": "feature_net.forw4",
    "backbone.up3": "feature_net.path1",
    "backbone.dec3": "feature_net.back3",
    "backbone.up2": "feature_net.path2",
    "backbone.dec2": "feature_net.back2",
    "ncs.body": "rpn.conv",
    "ncs.logits": "rpn.logits",
    "ncs.deltas": "rpn.deltas",
    "dfps.body.0": "rcnn_head.fc1",
    "dfps.body.2": "rcnn_head.fc2",
    "dfps.logits": "rcnn_head.logit",
    "dfps.deltas": "rcnn_head.delta",
    "sr.to_half.0": "mask_head.up2.1",
    "sr.to_half.1": "mask_head.up2.2",
    "sr.at_half": "mask_head.back2",
    "sr.to_full.0": "mask_head.up3.1",
    "sr.to_full.1": "mask_head.up3.2",
    "sr.at_full": "mask_head.back3",
    "sr.logits": "mask_head.logits1",
}
"""Our layers and their published names."""

IN_BLOCK = {"body.0": "conv1", "body.1": "bn1", "body.3": "conv2", "body.4": "bn2"}
"""The same for the layers of a residual block; `shortcut` has one name."""

UNUSED = {
    "mask_head.up1.1.weight": (64, 128, 3, 3, 3),
    "mask_head.up1.1.bias": (64,),
    "mask_head.up1.2.weight": (64,),
    "mask_head.up1.2.bias": (64,),
    "mask_head.back1.0.weight": (64, 128, 3, 3, 3),
    "mask_head.back1.0.bias": (64,),
    "mask_head.back1.1.weight": (64,),
    "mask_head.back1.1.bias": (64,),
    "mask_head.logits2.weight": (1, 64, 1, 1, 1),
    "mask_head.logits2.bias": (1,),
}
"""Tensors (float32) that the published network contains but never uses."""


def import_weights(checkpoint: Path, output: Path) -> Provenance:
    """Convert a checkpoint of the published implementation into a weights file.

    Strict: every tensor must be used or one of `UNUSED`, with the expected shape and type, else
    `InputError` names file and key. The fold is unknown and set to None.
    """
    content = load_tensors(checkpoint)
    settings = released_settings()
    check_frame(content, checkpoint, settings)
    net = NoduleNet(**settings.model.plain())
    net.load_state_dict(converted(content["state_dict"], net.state_dict(), checkpoint))
    origin = SourceCheckpoint(checkpoint.name, sha256(checkpoint))
    branches = ("ncs", "dfps", "sr")
    provenance = Provenance(settings, branches, "full", None, content["epoch"], origin)
    save_weights(net, provenance, output)
    return provenance


def released_settings() -> Recipe:
    """The settings of the published weights: released.yaml over the published values.

    Device, precision and seed of that training are not known.
    """
    config = read_config([workflow_folder() / "released.yaml"])
    known = {name: part for name, part in config.items() if name in Recipe.model_fields}
    settings = Recipe.model_validate(known)
    return settings.model_copy(update={"train": settings.train.part("full")})


def check_frame(content: Mapping[str, Any], path: Path, settings: Recipe) -> None:
    """Raise `InputError` unless the file is laid out as a published checkpoint.

    The log warns of a checkpoint from before the segmentation head was trained.
    """
    for key in ("epoch", "state_dict"):
        if key not in content:
            raise InputError(f"{path}: not a checkpoint of the published network: {key} is missing")
    if unknown := sorted(set(map(str, content)) - KEYS):
        raise InputError(f"{path}: unknown key {unknown[0]}")
    epoch, state = content["epoch"], content["state_dict"]
    if type(epoch) is not int or epoch < 0:
        raise InputError(f"{path}: epoch: {epoch!r} is no number of epochs")
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: state_dict: a {type(state).__name__}, not a table of tensors")
    stages = settings.train.stages
    before_sr = sum(stages[name].epochs for name in settings.train.ancestors("full"))
    if epoch <= before_sr:
        log.warning(
            "%s: of epoch %d, but the published training has segmentation after epoch %d only",
            path,
            epoch,
            before_sr,
        )


def converted(state: Mapping[str, Any], own: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The published tensors under our names. own: our tensors, for their names and shapes."""
    places = {name: published_name(name) for name in own}
    expected = {places[name]: (tuple(t.shape), t.dtype) for name, t in own.items()}
    expected |= {key: (shape, torch.float32) for key, shape in UNUSED.items()}
    missing = [key for key in expected if key not in state]
    unknown = [str(key) for key in state if key not in expected]
    for fault, keys in (("is missing", missing), ("is no part of the published network", unknown)):
        if keys:
            more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
            raise InputError(f"{path}: state_dict: {keys[0]} {fault}{more}")
    for key, (shape, kind) in expected.items():
        check_tensor(state[key], shape, kind, f"{path}: state_dict: {key}")
    return {name: state[key] for name, key in places.items()}


def check_tensor(value: Any, shape: tuple[int, ...], kind: torch.dtype, name: str) -> None:
    """Raise `InputError` unless a value is a finite tensor of the shape and type."""
    if not isinstance(value, Tensor):
        raise InputError(f"{name} is a {type(value).__name__}, not a tensor")
    if tuple(value.shape) != shape:
        raise InputError(f"{name} has the shape {tuple(value.shape)}, not {shape}")
    if value.dtype != kind:
        raise InputError(f"{name} is of type {value.dtype}, not {kind}")
    if not value.isfinite().all():
        raise InputError(f"{name} holds values that are not finite")


def published_name(name: str) -> str:
    """The published name of one of our tensors."""
    place = next(place for place in PLACES if name.startswith(f"{place}."))
    rest = name.removeprefix(place)
    for ours, theirs in IN_BLOCK.items():
        rest = rest.replace(f".{ours}.", f".{theirs}.")
    return PLACES[place] + rest
