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
