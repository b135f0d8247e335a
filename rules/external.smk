from nodulenet.plan import external_run

# Cohorts that the networks are tested on and were not trained on. Each is a run of the same rules
# that trains nothing: the networks of the folds are its given weights.
EXTERNAL = {name: external_run(SETTINGS, name) for name in SETTINGS.external}
TESTED = {name: run.train.evaluate for name, run in EXTERNAL.items()}  # all networks, then each
TESTS = [
    f"<results>/external/{name}/{stage}/froc.json"
    for name, stages in TESTED.items()
    for stage in stages
]

COMPARED = [
    f"<results>/external/{name}/{stages[0]}/transfer.svg" for name, stages in TESTED.items()
]
BOTH = ["", "external/{name}/"]  # the same file here and there

for name, run in EXTERNAL.items():
    place = f"external_{name}_"

    module:
        name: place
        pathvars:
            results=f"results/{SETTINGS.cohort}/external/{name}",
            logs=f"logs/{SETTINGS.cohort}/external/{name}",
            benchmarks=f"logs/{SETTINGS.cohort}/external/{name}/benchmarks",
        snakefile:
            "external_run.smk"
        config:
            run.plain()

    use rule * from place as place*


rule transfer:
    input:
        froc=collect("<results>/{of}{{stage}}/froc.json", of=BOTH),
        scans=collect("<results>/{of}{{stage}}/scans.csv", of=BOTH),
        nodules=collect("<results>/{of}{{stage}}/nodules.csv", of=BOTH),
        manifest=collect("<results>/{of}manifest.tsv", of=BOTH),
        folds=collect("<results>/{of}folds.tsv", of=BOTH),
    output:
        groups=report(
            "<results>/external/{name}/{stage}/groups.csv",
            caption="report/groups.rst",
            category="External",
            labels={"cohort": "{name}", "stage": "{stage}", "table": "by size and scanner"},
        ),
        reliability="<results>/external/{name}/{stage}/reliability.csv",
        operating_points=report(
            "<results>/external/{name}/{stage}/operating_points.csv",
            caption="report/operating_points.rst",
            category="External",
            labels={"cohort": "{name}", "stage": "{stage}", "table": "operating points"},
        ),
        figure=report(
            "<results>/external/{name}/{stage}/transfer.svg",
            caption="report/transfer.rst",
            category="External",
            labels={"cohort": "{name}", "stage": "{stage}", "table": "figure"},
        ),
    log:
        "<logs>/transfer/{name}_{stage}.log",
    benchmark:
        "<benchmarks>/transfer/{name}_{stage}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("transfer"),
        names=lambda w: [SETTINGS.cohort, w.name],
    message:
        "compare the scores of stage {wildcards.stage} on cohort {wildcards.name} with those here"
    script:
        "../workflow_scripts/transfer.py"
