localrules:
    manifest,
    folds,


rule manifest:
    input:
        scans=SETTINGS.scans,
        training=[f"{SETTINGS.trained_in}/manifest.tsv"] if SETTINGS.trained_in else [],
        volumes=collect("<results>/volumes/{series}.json", series=SCANS),
        findings=collect("<results>/nodules/{series}.csv", series=SCANS),
    output:
        report("<results>/manifest.tsv", caption="report/manifest.rst", category="Scans"),
    log:
        "<logs>/manifest.log",
    benchmark:
        "<benchmarks>/manifest.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("manifest"),
        source=SETTINGS.annotations,
    message:
        "collect the scans into the manifest"
    script:
        "../workflow_scripts/manifest.py"


rule folds:
    input:
        manifest="<results>/manifest.tsv",
        scans=SETTINGS.scans,
    output:
        "<results>/folds.tsv",
    log:
        "<logs>/folds.log",
    benchmark:
        "<benchmarks>/folds.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("folds"),
        number=SETTINGS.folds.number,
        seed=SETTINGS.folds.seed,
        trained=any(TRAINED.values()),
    message:
        "split the patients into {params.number} folds"
    script:
        "../workflow_scripts/folds.py"
