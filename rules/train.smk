# Before anything else: nothing of the cohort is needed to see that a file is of no use.
rule check_weights:
    input:
        lambda w: GIVEN[w.stage, int(w.fold)],
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
        code=code("model/given.py", "model/weights.py"),
        fold=lambda w: int(w.fold),
        branches=lambda w: STAGES[w.stage]["branches"],
        settings=section("preprocess")["preprocess"],
        model=lambda w: model_of_children(w.stage, int(w.fold)),
    message:
        "check the given weights of stage {wildcards.stage}, fold {wildcards.fold}"
    script:
        "../workflow_scripts/check_weights.py"


WATCHING = watching_sections()
WATCHED = {"validation": "<results>/fold{fold}/{stage}/validation.tsv"} if WATCHING else {}
# What finds the CPM of the patients held out, and decides no weights.
SCORING = [f"evaluation/{name}.py" for name in ("validation", "froc", "matching", "truth")]


rule train:
    input:
        unpack(parent),
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
    conda:
        "../envs/gpu.yaml"
    threads: TRAIN_THREADS
    resources:
        gpu=GPU * RANKS,
        ranks=RANKS,
    params:
        code=code(
            *("training", "model", "boxes", "imaging/store.py", "imaging/volume.py"),
            *(["inference", "masks.py", *SCORING] if WATCHING else []),
        ),
        fold=lambda w: int(w.fold),
        stage="{stage}",
        settings={
            **section("preprocess", "model", "ncs", "dfps", "sr", "targets", "augment"),
            **WATCHING,
        },
        train=train_section,
    message:
        "train stage {wildcards.stage} without fold {wildcards.fold}"
    script:
        "../workflow_scripts/train.py"
