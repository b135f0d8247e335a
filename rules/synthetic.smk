# Scans that the workflow renders instead of reading: those of the demo, and those to pretrain on.


rule demo_scan:
    input:
        cohort=PACKAGE / "demo/cohort.tsv",
    output:
        ct=f"{MADE['demo']}/{{series}}.mhd",
        raw=f"{MADE['demo']}/{{series}}.raw",
        annotations=f"{MADE['demo']}/{{series}}.xml",
        lung_mask=f"{MADE['demo']}/{{series}}_lungs.mhd",
        lung_raw=f"{MADE['demo']}/{{series}}_lungs.zraw",
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


rule pretrain_scan:
    input:
        cohort=PACKAGE / "demo/cohort.tsv",  # its patients are left out
    output:
        ct=f"{MADE['pretrain']}/{{part}}/{{series}}.mhd",
        raw=f"{MADE['pretrain']}/{{part}}/{{series}}.raw",
        annotations=f"{MADE['pretrain']}/{{part}}/{{series}}.xml",
        lung_mask=f"{MADE['pretrain']}/{{part}}/{{series}}_lungs.mhd",
        lung_raw=f"{MADE['pretrain']}/{{part}}/{{series}}_lungs.zraw",
    log:
        "<logs>/pretrain_scan/{part}_{series}.log",
    benchmark:
        "<benchmarks>/pretrain_scan/{part}_{series}.tsv"
    wildcard_constraints:
        part="train|test",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("pretrain_scan"),
        series="{series}",
        part="{part}",
    message:
        "render synthetic scan {wildcards.series} to {wildcards.part} on"
    script:
        "../workflow_scripts/pretrain_scan.py"
