localrules:
    plot_froc,
    plot_training,
    plot_segmentation,


rule plot_froc:
    input:
        froc=collect("<results>/{stage}/froc.json", stage=EVALUATED),
    output:
        report("<results>/figures/froc.svg", caption="report/froc.rst", category="Figures"),
    log:
        "<logs>/plot_froc.log",
    benchmark:
        "<benchmarks>/plot_froc.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("plot_froc"),
        names=EVALUATED,
    message:
        "draw the FROC curves"
    script:
        "../workflow_scripts/plot_froc.py"


rule plot_training:
    input:
        histories=lambda w: [
            f"<results>/fold{w.fold}/{stage}/history.csv" for stage in TRAINED[int(w.fold)]
        ],
    output:
        report(
            "<results>/figures/training_fold{fold}.svg",
            caption="report/training.rst",
            category="Training",
            labels={"fold": "{fold}"},
        ),
    log:
        "<logs>/plot_training/fold{fold}.log",
    benchmark:
        "<benchmarks>/plot_training/fold{fold}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("plot_training"),
        names=lambda w: TRAINED[int(w.fold)],
    message:
        "draw the training curves of fold {wildcards.fold}"
    script:
        "../workflow_scripts/plot_training.py"


rule plot_segmentation:
    input:
        tables=collect("<results>/{stage}/segmentation.csv", stage=EVALUATED),
        readers="<results>/reader_pairs.json",
    output:
        report("<results>/figures/dice.svg", caption="report/dice.rst", category="Figures"),
    log:
        "<logs>/plot_segmentation.log",
    benchmark:
        "<benchmarks>/plot_segmentation.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("plot_segmentation"),
        names=EVALUATED,
    message:
        "draw the histogram of Dice"
    script:
        "../workflow_scripts/plot_segmentation.py"


rule plot_gallery:
    input:
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
        predictions="<results>/{stage}/predictions.csv",
        masks=collect("<results>/fold{fold}/{{stage}}/masks", fold=FOLDS),
        segmentation="<results>/{stage}/segmentation.csv",
    output:
        report(
            "<results>/{stage}/gallery.png",
            caption="report/gallery.rst",
            category="Gallery",
            labels={"stage": "{stage}"},
        ),
    log:
        "<logs>/plot_gallery/{stage}.log",
    benchmark:
        "<benchmarks>/plot_gallery/{stage}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("plot_gallery"),
    message:
        "draw detections of stage {wildcards.stage}"
    script:
        "../workflow_scripts/plot_gallery.py"
