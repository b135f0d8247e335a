rule train:
    input:
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
        parent=parent,
    output:
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
        gpu=GPU,
    params:
        code=code("training", "model", "boxes", "imaging/store.py", "imaging/volume.py"),
        fold=lambda w: int(w.fold),
        stage="{stage}",
        settings=section("preprocess", "model", "ncs", "dfps", "sr", "targets", "augment"),
        train=train_section,
    message:
        "train stage {wildcards.stage} without fold {wildcards.fold}"
    script:
        "../workflow_scripts/train.py"
