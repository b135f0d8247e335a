"""What a run needs besides its scans, and what its tables record: weights, lists, the stamp.

And what the test of its networks on another cohort is: a run of its own.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nodulenet.files import InputError, sha256
from nodulenet.scan_table import TRAIN, Row
from nodulenet.settings import FrocSettings, Recipe, Settings
from nodulenet.settings.training import MACHINE
from nodulenet.weights import BUNDLED

CHALLENGE = ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv")


def initial_weights(settings: Recipe) -> str | None:
    """The weights file that the first stages start from; None if they start from nothing."""
    init = settings.train.init
    return None if init == "none" else str(BUNDLED) if init == "bundled" else init


def check_trainable(settings: Settings, scans: Iterable[Row]) -> None:
    """Raise `InputError` if networks are to be trained, but every scan is in their only fold."""
    alone = settings.folds.number == 1 and settings.trained(0)
    if alone and all(scan.get("fold") != TRAIN for scan in scans):
        raise InputError(
            f"{settings.scans}: folds.number is 1 and no scan has the fold `{TRAIN}`, so that there"
            " is nothing to train on: give such scans, more folds, or weights"
        )


def missing_weights(settings: Settings) -> list[tuple[str, str]]:
    """Key and path of each weights file in the config that neither exists nor is of the run that
    `trained_in` names, which may make it."""
    files = [
        (f"weights.{stage}.{fold}", path)
        for stage, given in settings.weights.items()
        for fold, paths in given.items()
        for path in paths
    ]
    if start := initial_weights(settings):
        files.append(("train.init", start))
    made = settings.trained_in
    gone = [(key, path) for key, path in files if not Path(path).is_file()]
    return [(key, path) for key, path in gone if not (made and Path(path).is_relative_to(made))]


def external_run(settings: Settings, name: str) -> Settings:
    """The run that tests a run's networks on an external cohort: it trains nothing.

    Its stages are that which is tested, with the networks of all folds as one ensemble, and
    {stage}_fold{k} for each alone unless `alone` is false. Preparation and prediction are as in the
    training run.
    """
    own = settings.external[name]
    stage = own.stage or settings.train.evaluate[0]
    results = f"results/{settings.cohort}"
    networks = {
        f"{stage}_fold{fold}": settings.given(stage, fold)
        or (f"{results}/fold{fold}/{stage}/weights.pt",)
        for fold in range(settings.folds.number)
    }
    ensemble = tuple(dict.fromkeys(path for files in networks.values() for path in files))
    weights = {stage: ensemble} | (networks if own.alone and len(ensemble) > 1 else {})
    alone = settings.train.stages[stage].model_copy(update={"after": None}).plain()
    changed = {
        "cohort": name,
        "scans": own.scans,
        "annotations": own.annotations,
        "on_bad_scan": own.on_bad_scan,
        "consensus": (own.consensus or settings.consensus).plain(),
        "froc": (own.froc or settings.froc).plain(),
        "folds": {"number": 1},
        "weights": {one: {"fold0": files} for one, files in weights.items()},
        "trained_in": results,
        "external": {},
    }
    train = {"stages": dict.fromkeys(weights, alone), "evaluate": list(weights)}
    plain = settings.plain()
    return Settings.model_validate(plain | changed | {"train": plain["train"] | train})


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
    """What the first stage starts from, if anything, the stages that lead to a stage's weights, and
    the folds with given weights."""
    first = [f"({settings.train.init})"] if settings.train.init != "none" else []
    line = " > ".join([*first, *reversed(settings.train.ancestors(stage)), stage])
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
    for key in ("cohort", "on_bad_scan", "trained_in", "external"):
        del config[key]
    if given:
        del config["consensus"]["level"]
    config["froc"]["luna16"] = [sha256(path) for path in lists]
    config["weights"] = {
        stage: {fold: list(map(os.path.normpath, files)) for fold, files in given.items()}
        for stage, given in settings.weights.items()
    }
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "consensus": "given" if given else rules,
        "level": None if given else own.level,
        "config": digest,
    }
