"""Collect every scan with its artefacts and counts, or the reason why it is excluded."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.leaks import check_leaks
    from nodulenet.cohort.manifest import gather_manifest, write_manifest
    from nodulenet.scan_table import read_scan_table

    scans = read_scan_table(snakemake.input.scans)
    folder = Path(snakemake.output[0]).parent
    manifest = gather_manifest(scans, folder, snakemake.params.source)
    for training in snakemake.input.training:
        check_leaks(manifest, Path(training))
    write_manifest(manifest, snakemake.output[0])
