"""Collect the time and memory of every job."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.manifest import read_manifest
    from nodulenet.cohort.timings import gather_timings, write_timings

    scans = read_manifest(snakemake.input.manifest)["series_uid"]
    write_timings(gather_timings(Path(snakemake.log[0]).parent, set(scans)), snakemake.output[0])
