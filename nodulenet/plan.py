"""What a run needs besides its scans, and what its tables record: weights, lists, the stamp."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nodulenet.files import InputError, sha256
from nodulenet.settings import FrocSettings, Settings
from nodulenet.settings.training import MACHINE

CHALLENGE = ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv")


def missing_weights(settings: Settings) -> list[tuple[str, str]]:
    """Key and path of each weights file in the config that does not exist."""
    files = [
        (f"weights.{stage}.{fold}", path)
        for stage, given in settings.weights.items()
        for fold, path in given.items()
    ]
    return [(key, path) for key, path in files if not Path(path).is_file()]


def challenge_files(froc: FrocSettings) -> list[Path]:
    """LUNA16's three tables, plain or compressed, if the protocol needs them; else none.

    Raises `InputError` naming those that do not exist.
    """
    if froc.protocol != "luna16":
        return []
    if froc.luna16 is None:
        raise InputError(
            f"froc.luna16: is needed by protocol luna16: the folder with {', '.join(CHALLENGE)}"
        )
    plain = [Path(froc.luna16) / name for name in CHALLENGE]
    packed = [path.with_name(f"{path.name}.gz") for path in plain]
    pairs = list(zip(plain, packed, strict=True))
    if gone := [str(path) for path, other in pairs if not (path.exists() or other.exists())]:
        raise InputError(f"froc.luna16: there is no {', no '.join(gone)}")
    return [path if path.exists() else other for path, other in pairs]


def given_folds(settings: Settings, stage: str) -> dict[str, str]:
    """Folds with given weights on which a stage is based -> the stage that they were given for."""
    first = {fold: settings.line(stage, fold)[-1] for fold in range(settings.folds.number)}
    return {f"fold{fold}": name for fold, name in first.items() if settings.given(name, fold)}


def training_of(settings: Settings, stage: str) -> str:
    """The stages that lead to a stage's weights, and the folds with given weights."""
    line = " > ".join([*reversed(settings.train.ancestors(stage)), stage])
    given = [
        fold if name == stage else f"{fold} ({name})"
        for fold, name in given_folds(settings, stage).items()
    ]
    return f"{line}; given: {', '.join(given)}" if given else line


def origin(settings: Settings, lists: Sequence[Path]) -> dict[str, Any]:
    """What the stamp of a table records of the nodules and of the config.

    The hash of the config omits keys that cannot change a result. For LUNA16's tables (`lists`) it
    covers the content instead of the path; for given weights only the path, since reading their
    content at every start would take too long.
    """
    own = settings.consensus
    given = settings.annotations == "table"
    rules = f"{own.protocol}/{own.merge}/{own.z}/{own.iou_threshold}"
    config = settings.plain()
    for key in MACHINE:
        del config["train"][key]
    del config["cohort"], config["on_bad_scan"]
    if given:
        del config["consensus"]["level"]
    config["froc"]["luna16"] = [sha256(path) for path in lists]
    config["weights"] = {
        stage: {fold: os.path.normpath(path) for fold, path in files.items()}
        for stage, files in settings.weights.items()
    }
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "consensus": "given" if given else rules,
        "level": None if given else own.level,
        "config": digest,
    }
