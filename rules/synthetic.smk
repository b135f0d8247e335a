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
        ct=f"{MADE['pretrain']}/{{series}}.mhd",
        raw=f"{MADE['pretrain']}/{{series}}.raw",
        annotations=f"{MADE['pretrain']}/{{series}}.xml",
        lung_mask=f"{MADE['pretrain']}/{{series}}_lungs.mhd",
        lung_raw=f"{MADE['pretrain']}/{{series}}_lungs.zraw",
    log:
        "<logs>/pretrain_scan/{series}.log",
    benchmark:
        "<benchmarks>/pretrain_scan/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("pretrain_scan"),
        series="{series}",
        held_out=lambda w: SCANS[w.series].get("fold") != TRAIN,
    message:
        "render synthetic scan {wildcards.series}"
    script:
        "../workflow_scripts/pretrain_scan.py"
