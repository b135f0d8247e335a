"""What the evaluation scores and with what weights, and what its tables say of both."""

import json


def identify(settings, challenge):
    """What the stamp of a table says of the nodules and of the config, as a rule's param.

    Left out of the hash are the keys that cannot change a result. Of LUNA16's tables, where they
    are read, it covers the content in place of the path; of given weights the path alone, as their
    content is too much to read at every start.
    """
    own = settings["consensus"]
    consensus = "{protocol}/{merge}/{z}/{iou_threshold}".format(**own)
    if settings["annotations"] == "table":
        consensus, own = "given", {"level": None}
    same = ("device", "gpus")
    train = {key: value for key, value in settings["train"].items() if key not in same}
    lists = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in challenge]
    froc = settings["froc"] | {"luna16": lists}
    weights = {
        stage: {fold: os.path.normpath(path) for fold, path in files.items()}
        for stage, files in settings["weights"].items()
    }
    kept = {key: settings[key] for key in settings if key not in ("cohort", "on_bad_scan")}
    whole = json.dumps(ordered(kept | {"train": train, "froc": froc, "weights": weights}))
    digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return {"consensus": consensus, "level": own["level"], "config": digest}


def challenge_files(settings):
    """LUNA16's three tables where the protocol needs them; raises if one is not there."""
    if settings["protocol"] != "luna16":
        return []
    if not settings["luna16"]:
        raise WorkflowError(
            f"{CONFIG}: froc.protocol is luna16, which needs froc.luna16: the folder that holds "
            "annotations.csv, annotations_excluded.csv and seriesuids.csv of the challenge"
        )
    paths = []
    for name in ("annotations.csv", "annotations_excluded.csv", "seriesuids.csv"):
        path = os.path.join(settings["luna16"], name)
        found = [file for file in (path, f"{path}.gz") if os.path.exists(file)]
        if not found:
            raise WorkflowError(f"{CONFIG}: froc.luna16: {path} does not exist")
        paths.append(found[0])
    return paths


def given_folds(stage):
    """The folds whose weights of a stage come from given ones -> the stage they were given for."""
    found = {}
    for fold in FOLDS:
        first = line_to_weights(stage, fold, GIVEN)[-1]
        if (first, fold) in GIVEN:
            found[f"fold{fold}"] = first
    return found


def training_of(stage):
    """The stages that a stage's weights went through here, and the folds where some were given."""
    line = " > ".join([*reversed(ancestors(stage)), stage])
    given = [
        fold if name == stage else f"{fold} ({name})" for fold, name in given_folds(stage).items()
    ]
    return f"{line}; given: {', '.join(given)}" if given else line


CHALLENGE = challenge_files(config["froc"])
ORIGIN = identify(config, CHALLENGE)
