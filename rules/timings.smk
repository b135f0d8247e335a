localrules:
    timings,
    plot_timings,


# These two rules are not timed: they read the benchmarks of all other jobs. Those are too
# many to be inputs, so the rules depend on the results of the jobs instead.
rule timings:
    input:
        rules.artefacts.input,
        manifest="<results>/manifest.tsv",
    output:
        "<results>/timings.tsv",
    log:
        "<logs>/timings.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("timings"),
    message:
        "gather the time and memory of all jobs"
    script:
        "../workflow_scripts/timings.py"


rule plot_timings:
    input:
        timings="<results>/timings.tsv",
    output:
        report("<results>/figures/timings.svg", caption="report/timings.rst", category="Timings"),
    log:
        "<logs>/plot_timings.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("plot_timings"),
    message:
        "draw where the time went"
    script:
        "../workflow_scripts/plot_timings.py"
