"""Whether weights fit the images and the stage that they are used for."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodulenet.files import InputError, sha256, write_json
from nodulenet.model.weights import Provenance, load_weights
from nodulenet.settings import ModelSettings, PreprocessSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Use:
    """The use of given weights: a stage's branches, its fold, and the images' preprocessing.

    fold: None where every scan is of another cohort. model: that of the config if another stage is
    trained from these weights, else None.
    """

    branches: Sequence[str]
    fold: int | None
    preprocess: PreprocessSettings
    model: ModelSettings | None = None


def check_given_weights(files: Sequence[Path], use: Use, output: Path) -> None:
    """Check the weights files that the config gives for a stage and fold; write a JSON record of
    them.

    Raises `InputError` if weights lack a branch, have another model or were trained on images
    with other preprocessing. The log warns if the weights were trained without another fold, since
    they may have been trained on the patients of this one.
    """
    write_json(output, {"networks": [check_file(path, use) for path in files]})


def check_file(weights: Path, use: Use) -> dict[str, Any]:
    """Check one weights file; its record. Raises as `check_given_weights`."""
    _, provenance = load_weights(weights)
    if lacking := [branch for branch in use.branches if branch not in provenance.branches]:
        raise InputError(
            f"{weights}: has the branches {', '.join(provenance.branches)}, but the stage that it"
            f" is given for has {', '.join(lacking)} too"
        )
    if use.model is not None:
        check_model(provenance, use.model, weights)
    check_preprocess(provenance, use.preprocess, weights, "this cohort is")
    if use.fold is not None and provenance.fold not in (None, use.fold):
        log.warning(
            "%s: trained without fold %d, used for fold %d", weights, provenance.fold, use.fold
        )
    origin = provenance.imported_from
    return {
        "file": str(weights),
        "sha256": sha256(weights),
        "stage": provenance.stage,
        "fold": provenance.fold,
        "epochs": provenance.epochs,
        "branches": list(provenance.branches),
        "model": provenance.model.plain(),
        "imported_from": vars(origin) if origin else None,
    }


def check_model(provenance: Provenance, model: ModelSettings, weights: Path) -> None:
    """Raise `InputError` unless the weights are of the config's section `model`."""
    if provenance.model != model:
        raise InputError(
            f"{weights}: is a network of {provenance.model.plain()}, but the config's section model"
            f" says {model.plain()}"
        )


def check_preprocess(
    provenance: Provenance, preprocess: PreprocessSettings, weights: Path, images: str
) -> None:
    """Raise `InputError` unless images have the preprocessing that the weights were trained with.

    preprocess: that of the images; images: their name in the message, with its verb.
    """
    trained, own = provenance.preprocess.plain(), preprocess.plain()
    for key in sorted(trained):
        if trained[key] != own[key]:
            raise InputError(
                f"{weights}: was trained on images with preprocess.{key}: {trained[key]},"
                f" but {images} prepared with {own[key]}"
            )
