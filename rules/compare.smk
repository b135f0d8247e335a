rule reader_pairs:
    input:
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
    output:
        table=report(
            "<results>/reader_pairs.csv",
            caption="report/reader_pairs.rst",
            category="Scores",
            labels={"stage": "readers", "table": "agreement"},
        ),
        summary="<results>/reader_pairs.json",
    log:
        "<logs>/reader_pairs.log",
    benchmark:
        "<benchmarks>/reader_pairs.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("reader_pairs"),
        origin=ORIGIN,
    message:
        "compare the readers of every nodule"
    script:
        "../workflow_scripts/reader_pairs.py"


rule ablation:
    input:
        froc=collect("<results>/{stage}/froc.json", stage=EVALUATED),
        scans=collect("<results>/{stage}/scans.csv", stage=EVALUATED),
        readers="<results>/reader_pairs.json",
    output:
        table=report(
            "<results>/ablation.csv",
            caption="report/ablation.rst",
            category="Scores",
            labels={"stage": "all", "table": "ablation"},
        ),
        figure=report(
            "<results>/figures/ablation.svg",
            caption="report/ablation.rst",
            category="Figures",
        ),
    log:
        "<logs>/ablation.log",
    benchmark:
        "<benchmarks>/ablation.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("ablation"),
        names=EVALUATED,
        trained=[training_of(SETTINGS, name) for name in EVALUATED],
        reference=min(EVALUATED, key=lambda name: len(STAGES[name].branches)),
    message:
        "compare the evaluated stages with {params.reference}"
    script:
        "../workflow_scripts/ablation.py"
