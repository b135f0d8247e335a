"""Read one scan's annotations into JSON."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.annotate import annotate_scan

    source = snakemake.input.annotations
    annotate_scan(
        snakemake.params.series,
        Path(source) if source else None,
        snakemake.params.source,
        Path(snakemake.output[0]),
        snakemake.resources.on_bad_scan,
    )
