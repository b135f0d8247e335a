"""Render one synthetic scan to pretrain on."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.demo.cohort import demo_scans
    from nodulenet.phantom import ScanFiles, render_scan

    render_scan(
        snakemake.params.series,
        ScanFiles(
            Path(snakemake.output.ct),
            Path(snakemake.output.annotations),
            Path(snakemake.output.lung_mask),
        ),
        held_out=snakemake.params.part == "test",
        without=[scan.patient_id for scan in demo_scans()],
    )
