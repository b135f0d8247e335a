"""The config, and what most rules ask of it and of the scan table."""

import difflib
import hashlib
import importlib.util
import os
import re
import shutil
from pathlib import Path

from nodulenet.settings import read_config
from nodulenet.files import InputError
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

DEMO = "results/demo/source"
RAW_SUFFIXES = (".raw", ".zraw", ".RAW", ".ZRAW")
PACKAGE = Path(importlib.util.find_spec("nodulenet").origin).parent


if not os.access(".snakemake" if os.path.isdir(".snakemake") else ".", os.W_OK):
    raise WorkflowError(f"{os.getcwd()}: no right to write here, where the run's records go")


def check(data, schema, name):
    """Validate against a schema and fill in its defaults; say in one line what is wrong."""
    try:
        validate(data, schema)
    except WorkflowError as error:
        row = re.search(r"row (\d+)", str(error))
        line = f"line {int(row.group(1)) + 2}: " if row else ""
        raise WorkflowError(f"{name}: {line}{explain(error.__context__)}") from None


def explain(fault):
    """One line for a violation of a schema: which key, and what is wrong with it."""
    if not hasattr(fault, "absolute_path"):
        return str(fault)
    place = ".".join(map(str, fault.absolute_path))
    if fault.validator == "required":
        missing = next(key for key in fault.validator_value if key not in fault.instance)
        return f"{'.'.join(filter(None, [place, missing]))}: is missing"
    if fault.validator != "additionalProperties":
        return f"{place}: {fault.message}"
    known = list(fault.schema.get("properties", ()))
    unknown = next(str(key) for key in fault.instance if key not in known)
    close = difflib.get_close_matches(unknown, known, 1)
    hint = f", did you mean {close[0]}?" if close else ""
    return f"{'.'.join(filter(None, [place, unknown]))}: there is no such key{hint}"


def ancestors(stage):
    """The stages before a stage, nearest first; raises if one is unknown or they form a circle."""
    line = [stage]
    while after := STAGES[line[-1]].get("after"):
        where = f"{CONFIG}: train.stages.{line[-1]}.after"
        if after not in STAGES:
            raise WorkflowError(f"{where}: there is no stage {after!r}")
        if after in line:
            raise WorkflowError(f"{where}: a circle, {after!r} comes after {line[-1]!r} already")
        line.append(after)
    return line[1:]


def image(column):
    """Input function: an image of a scan, with the raw file beside a MetaImage header."""

    def files(wildcards):
        path = SCANS[wildcards.series][column]
        data = []
        if path.lower().endswith(".mhd") and not path.startswith(DEMO):
            data = [str(Path(path).with_suffix(suffix)) for suffix in RAW_SUFFIXES]
        return [path, *filter(os.path.exists, data)] if path else []

    return files


def code(*parts):
    """Digest of the modules of the package that decide a rule's result, as a param of the rule.

    So editing one reruns the rule. As inputs the modules would be looked at again for every job,
    which is most of the work of a large cohort's DAG.
    """
    paths = [PACKAGE / part for part in parts]
    files = [file for path in paths for file in (path.glob("*.py") if path.is_dir() else [path])]
    names = sorted((file.relative_to(PACKAGE).as_posix(), file) for file in files)
    whole = hashlib.sha256()
    for name, file in names:
        whole.update(name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


def ordered(value):
    """A value with the keys of its mappings sorted, so that only a change of content is one."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return value


def section(*names):
    """Sections of the config as a rule's params."""
    return ordered({name: config[name] for name in names})


def train_section(wildcards):
    """The config's section train as far as a stage depends on it.

    Of the other stages these are the epochs of its ancestors and of the longest line after it,
    which set the learning rate. So a new stage in the config leaves the trained ones alone, and
    so does another number of GPUs.
    """
    name = wildcards.stage
    lines = [[stage, *ancestors(stage)] for stage in STAGES]
    after = [line[: line.index(name)] for line in lines if name in line]
    epochs = max(sum(STAGES[stage]["epochs"] for stage in line) for line in after)
    stages = {s: {k: v for k, v in STAGES[s].items() if k != "branches"} for s in ancestors(name)}
    stages |= {name: STAGES[name]} | (
        {"(later)": {"after": name, "epochs": epochs}} if epochs else {}
    )
    own = {k: v for k, v in config["train"].items() if k not in ("stages", "evaluate", "gpus")}
    return ordered(own | {"stages": stages})


def watching_sections():
    """The sections of the config that a training depends on where it is watched on patients."""
    if config["folds"]["validation"] is None:
        return {}
    folds = {name: config["folds"][name] for name in ("validation", "seed")}
    froc = {"readout": config["froc"]["readout"]}
    return ordered({"folds": folds, "inference": config["inference"], "froc": froc})


def require_outlines(stage):
    """Raise if a stage learns to segment in a cohort of positions and diameters alone."""
    if config["annotations"] == "table" and "sr" in STAGES[stage]["branches"]:
        raise WorkflowError(
            f"{CONFIG}: train.stages.{stage}.branches: sr learns from outlines, which"
            " `annotations: table` does not have: leave the stage out of train.evaluate"
        )


def check_config_files(paths):
    """Raise for a number in a config file that YAML reads as something else than it looks like."""
    try:
        read_config([Path(path) for path in paths])
    except InputError as error:
        raise WorkflowError(str(error)) from None


CONFIG = ", ".join(map(str, dict.fromkeys(workflow.configfiles))) or "config"
check_config_files(workflow.configfiles)
check(config, "schemas/config.schema.yaml", CONFIG)
low, high = config["preprocess"]["hu_window"]
if low >= high:
    raise WorkflowError(f"{CONFIG}: preprocess.hu_window: {low} is not below {high}")
tile, halo = config["inference"]["tile"], config["inference"]["halo"]
if tile is not None and tile <= 2 * halo:
    raise WorkflowError(
        f"{CONFIG}: inference.tile: {tile} is not above twice inference.halo, {halo}"
    )
STAGES = config["train"]["stages"]
EVALUATED = config["train"]["evaluate"]
for name in EVALUATED:
    if name not in STAGES:
        raise WorkflowError(f"{CONFIG}: train.evaluate: there is no stage {name!r}")
MASKS = [f"imaging/{name}.py" for name in ("store", "masks", "grid", "nodule_store")]
READER = "annotations/challenge_csv.py"
REFERENCE = min(EVALUATED, key=lambda name: len(STAGES[name]["branches"]))
SEGMENTING = [name for name in EVALUATED if "sr" in STAGES[name]["branches"]]
for stage in EVALUATED:
    for name in [stage, *ancestors(stage)]:
        require_outlines(name)
FOLDS = list(range(config["folds"]["number"]))
GIVEN = read_given(config["weights"])
TRAINED = {fold: trained(fold) for fold in FOLDS}
SCANS = read_scans(config["scans"])
DEVICE = config["train"]["device"]
GPU = int(DEVICE == "cuda" or (DEVICE == "auto" and shutil.which("nvidia-smi") is not None))
CORES = workflow.resource_settings.cores or 8
RANKS = config["train"]["gpus"]
TRAIN_THREADS = min(8 * RANKS, CORES) if GPU else max(RANKS, CORES // len(FOLDS))


wildcard_constraints:
    series=r"[0-9]+(\.[0-9]+)*",
    fold=r"[0-9]+",
    stage=r"[a-z][a-z0-9_]*",
