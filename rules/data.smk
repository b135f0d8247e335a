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


rule annotations:
    input:
        files("annotations"),
    output:
        "<results>/annotations/{series}.json",
    log:
        "<logs>/annotations/{series}.log",
    benchmark:
        "<benchmarks>/annotations/{series}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        # No param: a change must not rerun the scans that are good.
        on_bad_scan=SETTINGS.on_bad_scan,
    params:
        code=code("annotations"),
        series="{series}",
        source=SETTINGS.annotations,
        files=lambda w: files_of(SCANS[w.series], "annotations"),
        labels=lambda w: SCANS[w.series].get("labels", ""),
    message:
        "read the annotations of scan {wildcards.series}"
    script:
        "../workflow_scripts/annotations.py"


rule consensus:
    input:
        reading="<results>/annotations/{series}.json",
        ct=files("ct"),
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
        on_bad_scan=SETTINGS.on_bad_scan,
    params:
        code=code("consensus"),
        series="{series}",
        settings=SETTINGS.plain("consensus", "preprocess"),
    message:
        "find the consensus nodules of scan {wildcards.series}"
    script:
        "../workflow_scripts/consensus.py"


rule preprocess:
    input:
        ct=files("ct"),
        lung_mask=files("lung_mask"),
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
        on_bad_scan=SETTINGS.on_bad_scan,
    params:
        code=code("preprocess"),
        series="{series}",
        settings=SETTINGS.preprocess.plain(),
    message:
        "preprocess scan {wildcards.series}"
    script:
        "../workflow_scripts/preprocess.py"
