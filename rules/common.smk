"""The config, the scan table, and what most rules ask of them."""

import csv
import difflib
import hashlib
import importlib.util
import os
import re
import shutil
from pathlib import Path

import pandas as pd
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

DEMO = "results/demo/source"
PACKAGE = Path(importlib.util.find_spec("nodulenet").origin).parent


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


def read_scans(table):
    """The scan table by series, with paths seen from the working directory."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, dialect="excel-tab", restkey=""))
    except (OSError, ValueError, csv.Error) as error:
        raise WorkflowError(f"{table}: not a readable scan table: {error}") from None
    if not rows:
        raise WorkflowError(f"{table}: holds no scan")
    for number, row in enumerate(rows, 2):
        if "" in row or None in row.values():
            raise WorkflowError(f"{table}: line {number}: not as many cells as the header")
    scans = pd.DataFrame([{key: cell.strip() for key, cell in row.items()} for row in rows])
    check(scans, "schemas/scans.schema.yaml", table)
    doubled = scans["series_uid"][scans["series_uid"].duplicated()]
    if len(doubled):
        raise WorkflowError(f"{table}: scan {doubled.iloc[0]} is listed more than once")
    for column in ("ct", "annotations", "lung_mask"):
        scans[column] = [locate(table, cell) for cell in scans[column]]
    return scans.set_index("series_uid").to_dict("index")


def locate(table, cell):
    """A path of the scan table seen from the working directory; raises if it is not there."""
    path = os.path.relpath(os.path.join(os.path.dirname(table), cell)) if cell else ""
    made_here = path.startswith(DEMO)
    if path and not made_here and not os.path.exists(path):
        raise WorkflowError(f"{table}: {os.path.join(os.path.dirname(table), cell)} does not exist")
    return os.path.abspath(path) if path.startswith("..") else path


def image(column):
    """Input function: an image of a scan, with the raw file beside a MetaImage header."""

    def files(wildcards):
        path = SCANS[wildcards.series][column]
        data = []
        if path.endswith(".mhd") and not path.startswith(DEMO):
            data = [str(Path(path).with_suffix(suffix)) for suffix in (".raw", ".zraw")]
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


def parent(wildcards):
    """Input function: weights and momentum of the stage before, if there is one."""
    require_outlines(wildcards.stage)
    return [
        f"<results>/fold{wildcards.fold}/{stage}/{name}.pt"
        for stage in ancestors(wildcards.stage)[:1]
        for name in ("weights", "momentum")
    ]


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


def require_outlines(stage):
    """Raise if a stage learns to segment in a cohort of positions and diameters alone."""
    if config["annotations"] == "table" and "sr" in STAGES[stage]["branches"]:
        raise WorkflowError(
            f"{CONFIG}: train.stages.{stage}.branches: sr learns from outlines, which"
            " `annotations: table` does not have: leave the stage out of train.evaluate"
        )


CONFIG = ", ".join(map(str, dict.fromkeys(workflow.configfiles))) or "config"
check(config, "schemas/config.schema.yaml", CONFIG)
low, high = config["preprocess"]["hu_window"]
if low >= high:
    raise WorkflowError(f"{CONFIG}: preprocess.hu_window: {low} is not below {high}")
STAGES = config["train"]["stages"]
EVALUATED = config["train"]["evaluate"]
for name in EVALUATED:
    if name not in STAGES:
        raise WorkflowError(f"{CONFIG}: train.evaluate: there is no stage {name!r}")
SEGMENTING = [name for name in EVALUATED if "sr" in STAGES[name]["branches"]]
TRAINED = [name for name in STAGES if any(name in [e, *ancestors(e)] for e in EVALUATED)]
for name in TRAINED:
    require_outlines(name)
FOLDS = list(range(config["folds"]["number"]))
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
