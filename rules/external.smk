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


def of_both(file):
    """Make an input function: a file of a stage's scores, here and on the external cohort."""

    def inputs(wildcards):
        path = file.format(stage=TESTED[wildcards.name][0])
        return [f"<results>/{path}", f"<results>/external/{wildcards.name}/{path}"]

    return inputs


localrules:
    external,


rule transfer:
    input:
        froc=of_both("{stage}/froc.json"),
        scans=of_both("{stage}/scans.csv"),
        nodules=of_both("{stage}/nodules.csv"),
        manifest=of_both("manifest.tsv"),
        folds=of_both("folds.tsv"),
    output:
        groups=report(
            "<results>/external/{name}/groups.csv",
            caption="report/groups.rst",
            category="External",
            labels={"cohort": "{name}", "table": "by size and scanner"},
        ),
        reliability="<results>/external/{name}/reliability.csv",
        operating_points=report(
            "<results>/external/{name}/operating_points.csv",
            caption="report/operating_points.rst",
            category="External",
            labels={"cohort": "{name}", "table": "operating points"},
        ),
        figure=report(
            "<results>/external/{name}/transfer.svg",
            caption="report/transfer.rst",
            category="External",
            labels={"cohort": "{name}", "table": "figure"},
        ),
    log:
        "<logs>/transfer/{name}.log",
    benchmark:
        "<benchmarks>/transfer/{name}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("transfer"),
        names=lambda w: [SETTINGS.cohort, w.name],
        stage=lambda w: TESTED[w.name][0],
    message:
        "compare the scores on cohort {wildcards.name} with those here"
    script:
        "../workflow_scripts/transfer.py"


rule external:
    input:
        TESTS,
        collect("<results>/external/{name}/transfer.svg", name=EXTERNAL),
