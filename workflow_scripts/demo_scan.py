"""Render one synthetic scan of the demonstration cohort."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.demo import render_demo_scan

    render_demo_scan(
        snakemake.params.series,
        ct=Path(snakemake.output.ct),
        annotations=Path(snakemake.output.annotations),
        lung_mask=Path(snakemake.output.lung_mask),
    )
