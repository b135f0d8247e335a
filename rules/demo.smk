rule demo_scan:
    input:
        cohort=PACKAGE / "demo/cohort.tsv",
    output:
        ct=f"{MADE}/{{series}}.mhd",
        raw=f"{MADE}/{{series}}.raw",
        annotations=f"{MADE}/{{series}}.xml",
        lung_mask=f"{MADE}/{{series}}_lungs.mhd",
        lung_raw=f"{MADE}/{{series}}_lungs.zraw",
    log:
        "logs/demo/demo_scan/{series}.log",
    benchmark:
        "logs/demo/benchmarks/demo_scan/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("demo_scan"),
        series="{series}",
    message:
        "render synthetic scan {wildcards.series}"
    script:
        "../workflow_scripts/demo_scan.py"
