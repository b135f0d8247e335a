"""Read one scan's annotations into JSON."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.annotate import annotate_scan
    from nodulenet.scan_table import with_labels

    annotate_scan(
        snakemake.params.series,
        with_labels(snakemake.params.files, snakemake.params.get("labels", "")),
        snakemake.params.source,
        Path(snakemake.output[0]),
        snakemake.resources.on_bad_scan,
    )
