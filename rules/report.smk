# Scans made by the workflow are synthetic, whatever the cohort is called.
ABOUT = {
    "cohort": SETTINGS.cohort,
    "synthetic": sum(is_made(scan["ct"]) for scan in SCANS.values()),
    "outlined": SETTINGS.annotations != "table",
    "branches": {name: list(STAGES[name].branches) for name in EVALUATED},
    "external": {
        name: (
            sum(is_made(scan["ct"]) for scan in checked(read_scans, run.scans)),
            TESTED[name][0],
        )
        for name, run in EXTERNAL.items()
    },
}


# Runs last, since it shows timings.tsv; so it has no row in that table itself.
rule cohort_report:
    input:
        manifest="<results>/manifest.tsv",
        folds="<results>/folds.tsv",
        froc=collect("<results>/{stage}/froc.json", stage=EVALUATED),
        predictions=f"<results>/{EVALUATED[0]}/predictions.csv",
        nodules=f"<results>/{EVALUATED[0]}/nodules.csv",
        false_positives=f"<results>/{EVALUATED[0]}/false_positives.csv",
        masks=collect("<results>/fold{fold}/{stage}/masks", fold=FOLDS, stage=EVALUATED[0]),
        ablation="<results>/ablation.csv",
        readers="<results>/reader_pairs.json",
        timings="<results>/timings.tsv",
        external=TESTS,
        transfer=COMPARED,
        figures=[
            *collect("<results>/figures/{name}.svg", name=["froc", "ablation", "timings"]),
            *collect("<results>/figures/{name}.svg", name=["dice"] if SEGMENTING else []),
            *collect("<results>/figures/training_fold{fold}.svg", fold=filter(TRAINED.get, FOLDS)),
        ],
    output:
        report("<results>/report.html", caption="report/cohort_report.rst", category="Report"),
    log:
        "<logs>/cohort_report.log",
    benchmark:
        "<benchmarks>/cohort_report.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("cohort_report"),
        names=EVALUATED,
        about=ABOUT,
    message:
        "write the report of the cohort"
    script:
        "../workflow_scripts/cohort_report.py"
