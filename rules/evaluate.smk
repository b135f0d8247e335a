localrules:
    concat,


rule predict:
    input:
        unpack(lambda w: weights_of(w.stage, w.fold)),
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
    output:
        predictions="<results>/fold{fold}/{stage}/predictions.csv",
        record="<results>/fold{fold}/{stage}/predictions.json",
        masks=directory("<results>/fold{fold}/{stage}/masks"),
    log:
        "<logs>/predict/fold{fold}_{stage}.log",
    benchmark:
        "<benchmarks>/predict/fold{fold}_{stage}.tsv"
    priority: lambda w: 2 if w.stage in FIRST else 0
    conda:
        "../envs/gpu.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=GPU,
        device=DEVICE,
    params:
        code=code("predict"),
        fold=lambda w: int(w.fold),
        branches=lambda w: list(STAGES[w.stage].branches),
        settings=SETTINGS.inference.plain(),
        amp=SETTINGS.train.amp,
    message:
        "predict the scans of fold {wildcards.fold} with stage {wildcards.stage}"
    script:
        "../workflow_scripts/predict.py"


rule concat:
    input:
        folds="<results>/folds.tsv",
        predictions=collect("<results>/fold{fold}/{{stage}}/predictions.csv", fold=FOLDS),
        records=collect("<results>/fold{fold}/{{stage}}/predictions.json", fold=FOLDS),
    output:
        "<results>/{stage}/predictions.csv",
    log:
        "<logs>/concat/{stage}.log",
    benchmark:
        "<benchmarks>/concat/{stage}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("concat"),
    message:
        "join the folds' predictions of stage {wildcards.stage}"
    script:
        "../workflow_scripts/concat.py"


rule evaluate:
    input:
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
        predictions="<results>/{stage}/predictions.csv",
        masks=collect("<results>/fold{fold}/{{stage}}/masks", fold=FOLDS),
        challenge=CHALLENGE,
    output:
        table=report(
            "<results>/{stage}/froc.csv",
            caption="report/froc_table.rst",
            category="Scores",
            labels={"cohort": SETTINGS.cohort, "stage": "{stage}", "table": "FROC"},
        ),
        froc="<results>/{stage}/froc.json",
        figure="<results>/{stage}/froc.svg",
        nodules=report(
            "<results>/{stage}/nodules.csv",
            caption="report/nodules.rst",
            category="Scores",
            labels={"cohort": SETTINGS.cohort, "stage": "{stage}", "table": "nodules"},
        ),
        false_positives=report(
            "<results>/{stage}/false_positives.csv",
            caption="report/false_positives.rst",
            category="Scores",
            labels={"cohort": SETTINGS.cohort, "stage": "{stage}", "table": "false positives"},
        ),
        scans=report(
            "<results>/{stage}/scans.csv",
            caption="report/scans.rst",
            category="Scores",
            labels={"cohort": SETTINGS.cohort, "stage": "{stage}", "table": "scans"},
        ),
        segmentation=report(
            "<results>/{stage}/segmentation.csv",
            caption="report/segmentation.rst",
            category="Scores",
            labels={"cohort": SETTINGS.cohort, "stage": "{stage}", "table": "segmentation"},
        ),
        readers=report(
            "<results>/{stage}/readers.csv",
            caption="report/readers.rst",
            category="Scores",
            labels={"cohort": SETTINGS.cohort, "stage": "{stage}", "table": "single readers"},
        ),
    log:
        "<logs>/evaluate/{stage}.log",
    benchmark:
        "<benchmarks>/evaluate/{stage}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("evaluate"),
        settings=SETTINGS.froc.plain(),
        origin=ORIGIN,
        given=lambda w: given_folds(SETTINGS, w.stage),
    message:
        "score stage {wildcards.stage}"
    script:
        "../workflow_scripts/evaluate.py"
