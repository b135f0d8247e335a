"""Form one scan's consensus nodules and list its findings."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.steps import consensus_scan

    consensus_scan(
        snakemake.params.series,
        Path(snakemake.input.reading),
        Path(snakemake.input.ct[0]),
        snakemake.params.settings,
        {name: Path(path) for name, path in snakemake.output.items()},
        snakemake.resources.on_bad_scan,
    )
