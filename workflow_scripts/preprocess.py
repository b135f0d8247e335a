"""Make one scan's 1 mm volume and its labels."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.steps import preprocess_scan

    lung_mask = list(snakemake.input.lung_mask)
    preprocess_scan(
        snakemake.params.series,
        Path(snakemake.input.ct[0]),
        Path(lung_mask[0]) if lung_mask else None,
        {name: Path(snakemake.input[name]) for name in ("nodules", "findings", "record")},
        snakemake.params.settings,
        {name: Path(path) for name, path in snakemake.output.items()},
        snakemake.resources.on_bad_scan,
    )
