"""Read one scan's annotations into JSON."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.annotate import annotate_scan

    annotate_scan(
        snakemake.params.series,
        [Path(path) for path in snakemake.params.files],
        snakemake.params.source,
        Path(snakemake.output[0]),
        snakemake.resources.on_bad_scan,
    )
