rule manifest:
    input:
        scans=config["scans"],
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
        code=code("cohort/manifest.py", "cohort/sources.py", "cohort/table.py", READER),
        source=config["annotations"],
    message:
        "gather the scans into the manifest"
    script:
        "../workflow_scripts/manifest.py"


rule folds:
    input:
        manifest="<results>/manifest.tsv",
        scans=config["scans"],
    output:
        "<results>/folds.tsv",
    log:
        "<logs>/folds.log",
    benchmark:
        "<benchmarks>/folds.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("cohort/folds.py", "cohort/table.py"),
        number=config["folds"]["number"],
        seed=config["folds"]["seed"],
    message:
        "split the patients into {params.number} folds"
    script:
        "../workflow_scripts/folds.py"
