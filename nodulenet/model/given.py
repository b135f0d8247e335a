"""Whether weights fit the images and the stage that they are to be used for."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodulenet.files import InputError, sha256, write_json
from nodulenet.model.weights import Provenance, load_weights

log = logging.getLogger(__name__)


def check_given(
    weights: Path,
    branches: Sequence[str],
    fold: int,
    preprocess: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    output: Path,
) -> None:
    """Check a weights file that the config gives for a fold of a stage; note in JSON what it is.

    branches: those of the stage; preprocess: the config's section; model: that section too where
    a stage is trained from these weights, else None. Raises `InputError` where the weights lack a
    branch, are of another model or were trained on images prepared otherwise. Weights that were
    trained without another fold are warned of in the log: whether they have seen the patients of
    this one cannot be told from the file.
    """
    _, provenance = load_weights(weights)
    if lacking := [branch for branch in branches if branch not in provenance.branches]:
        raise InputError(
            f"{weights}: has the branches {', '.join(provenance.branches)}, but the stage that it"
            f" is given for has {', '.join(lacking)} too"
        )
    if model is not None:
        check_model(provenance, model, weights)
    check_preprocess(provenance, preprocess, weights, "this cohort is")
    if provenance.fold not in (None, fold):
        log.warning("%s: trained without fold %d, used for fold %d", weights, provenance.fold, fold)
    write_json(
        output,
        {
            "file": str(weights),
            "sha256": sha256(weights),
            "stage": provenance.stage,
            "fold": provenance.fold,
            "epochs": provenance.epochs,
            "branches": list(provenance.branches),
            "model": dict(provenance.model),
            "imported_from": provenance.settings.get("imported_from"),
        },
    )


def check_model(provenance: Provenance, model: Mapping[str, Any], weights: Path) -> None:
    """Raise `InputError` unless the weights are of the config's section `model`."""
    if dict(provenance.model) != dict(model):
        raise InputError(
            f"{weights}: is a network of {dict(provenance.model)}, but the config's section model"
            f" says {dict(model)}"
        )


def check_preprocess(
    provenance: Provenance, preprocess: Mapping[str, Any], weights: Path, images: str
) -> None:
    """Raise `InputError` unless images were prepared as those that the weights were trained on.

    preprocess: the parameters of the images; images: what to call them, with its verb.
    """
    trained, own = (
        json.loads(json.dumps(dict(part))) for part in (provenance.preprocess, preprocess)
    )
    for key in sorted({*trained, *own}):
        if trained.get(key) != own.get(key):
            raise InputError(
                f"{weights}: was trained on images with preprocess.{key}: {trained.get(key)},"
                f" but {images} prepared with {own.get(key)}"
            )
