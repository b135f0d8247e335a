localrules:
    check_weights,
    check_init,


# Runs first: whether a weights file can be used does not depend on the scans.
rule check_weights:
    input:
        lambda w: SETTINGS.given(w.stage, int(w.fold)),
    output:
        "<results>/fold{fold}/{stage}/given.json",
    log:
        "<logs>/check_weights/fold{fold}_{stage}.log",
    benchmark:
        "<benchmarks>/check_weights/fold{fold}_{stage}.tsv"
    priority: 100
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("check_weights"),
        fold=lambda w: None if SETTINGS.trained_in else int(w.fold),
        branches=lambda w: list(STAGES[w.stage].branches),
        settings=SETTINGS.preprocess.plain(),
        model=model_of_children,
    message:
        "check the given weights of stage {wildcards.stage}, fold {wildcards.fold}"
    script:
        "../workflow_scripts/check_weights.py"


rule check_init:
    input:
        START,
    output:
        "<results>/init.json",
    log:
        "<logs>/check_init.log",
    benchmark:
        "<benchmarks>/check_init.tsv"
    priority: 100
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("check_weights"),
        fold=None,
        branches=[],
        settings=SETTINGS.preprocess.plain(),
        model=SETTINGS.model.plain(),
    message:
        "check the weights that training starts from"
    script:
        "../workflow_scripts/check_weights.py"


rule hard_negatives:
    input:
        checked="<results>/init.json",
        weights=START,
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
    output:
        "<results>/hard_negatives.csv",
    log:
        "<logs>/hard_negatives.log",
    benchmark:
        "<benchmarks>/hard_negatives.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: CORES
    resources:
        gpu=GPU,
        device=DEVICE,
    params:
        code=code("hard_negatives"),
        inference=SETTINGS.inference.plain(),
        amp=SETTINGS.train.amp,
    message:
        "find the false positives of the weights that training starts from"
    script:
        "../workflow_scripts/hard_negatives.py"


HARD = {"hard_negatives": "<results>/hard_negatives.csv"} if SETTINGS.augment.hard_negatives else {}
# The first evaluated stage, with its ancestors, is trained and used first: external cohorts need it.
# Then the others are trained, as their jobs are the longest.
FIRST = {EVALUATED[0], *SETTINGS.train.ancestors(EVALUATED[0])}
WATCHING = SETTINGS.watching()
WATCHED = {"validation": "<results>/fold{fold}/{stage}/validation.tsv"} if WATCHING else {}


rule train:
    input:
        unpack(parent),
        **HARD,
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
    output:
        **WATCHED,
        weights="<results>/fold{fold}/{stage}/weights.pt",
        momentum="<results>/fold{fold}/{stage}/momentum.pt",
        history="<results>/fold{fold}/{stage}/history.csv",
        tensorboard=directory("<results>/fold{fold}/{stage}/tensorboard"),
    log:
        "<logs>/train/fold{fold}_{stage}.log",
    benchmark:
        "<benchmarks>/train/fold{fold}_{stage}.tsv"
    priority: lambda w: 3 if w.stage in FIRST else 1
    conda:
        "../envs/gpu.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=GPU * PROCESSES,
        # No params: on another device, or on more of them, nothing is trained again.
        processes=PROCESSES,
        device=DEVICE,
    params:
        # Scoring of held-out patients does not affect the weights, so without any it is left out.
        code=code("train", without=[] if WATCHING else ["nodulenet.evaluation.held_out"]),
        fold=lambda w: int(w.fold),
        stage="{stage}",
        settings=lambda w: SETTINGS.deciding(w.stage).plain(),
    message:
        "train stage {wildcards.stage} without fold {wildcards.fold}"
    script:
        "../workflow_scripts/train.py"
