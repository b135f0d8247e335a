"""What the nodules of the evaluation are, and what its tables say of where they come from."""

import json


def identify(settings):
    """What the stamp of a table says of the nodules and of the config, as a rule's param.

    Left out of the hash are the keys that cannot change a result.
    """
    own = settings["consensus"]
    consensus = "{protocol}/{merge}/{z}/{iou_threshold}".format(**own)
    if settings["annotations"] == "table":
        consensus, own = "given", {"level": None}
    train = {key: value for key, value in settings["train"].items() if key != "device"}
    froc = {key: value for key, value in settings["froc"].items() if key != "luna16"}
    kept = {key: settings[key] for key in settings if key not in ("cohort", "on_bad_scan")}
    whole = json.dumps(ordered(kept | {"train": train, "froc": froc}))
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


ORIGIN = identify(config)
CHALLENGE = challenge_files(config["froc"])
