"""Weights that the config gives in place of a training: functions alone, called by common.smk."""

import os

from snakemake.exceptions import WorkflowError


def read_given(weights):
    """The config's section weights as (stage, fold) -> file; raises naming the key at fault."""
    given = {}
    for stage, files in weights.items():
        key = f"{CONFIG}: weights.{stage}"
        if stage not in STAGES:
            raise WorkflowError(f"{key}: there is no stage {stage!r}")
        for name, path in files.items():
            fold = int(name.removeprefix("fold"))
            if fold not in FOLDS:
                raise WorkflowError(
                    f"{key}.{name}: there is no such fold, folds.number is {len(FOLDS)}"
                )
            if not os.path.isfile(path):
                raise WorkflowError(f"{key}.{name}: there is no file {path}")
            given[stage, fold] = path
    for stage, fold in given:
        if not any(stage in line_to_weights(name, fold, given) for name in EVALUATED):
            key = f"{CONFIG}: weights.{stage}.fold{fold}"
            raise WorkflowError(f"{key}: no stage of train.evaluate needs it")
    return given


def line_to_weights(stage, fold, given):
    """A stage and those before it, up to the nearest whose weights are given for the fold."""
    line = [stage, *ancestors(stage)]
    ends = [place for place, name in enumerate(line) if (name, fold) in given]
    return line[: ends[0] + 1] if ends else line


def trained(fold):
    """The stages that a fold trains: the evaluated ones and their ancestors up to a given one."""
    needed = {name for stage in EVALUATED for name in line_to_weights(stage, fold, GIVEN)}
    return [name for name in STAGES if name in needed and (name, fold) not in GIVEN]


def model_of_children(stage, fold):
    """The config's section model if a stage is trained from this one's weights, else None."""
    followed = any(STAGES[name].get("after") == stage for name in TRAINED[fold])
    return ordered(config["model"]) if followed else None


def weights_of(stage, fold):
    """The files that a job takes in to use a stage's weights: its own, or given ones checked."""
    folder = f"<results>/fold{fold}/{stage}"
    if given := GIVEN.get((stage, int(fold))):
        return {"weights": given, "checked": f"{folder}/given.json"}
    return {"weights": f"{folder}/weights.pt"}


def parent(wildcards):
    """Input function: the stage before, if there is one; a given one has no momentum."""
    require_outlines(wildcards.stage)
    files = {}
    for stage in ancestors(wildcards.stage)[:1]:
        files = weights_of(stage, wildcards.fold)
        if "checked" not in files:
            files["momentum"] = f"<results>/fold{wildcards.fold}/{stage}/momentum.pt"
    return files
