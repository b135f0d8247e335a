"""Split the patients into folds."""

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.folds import split_folds, write_folds
    from nodulenet.cohort.manifest import read_manifest
    from nodulenet.scan_table import fixed_folds, read_scan_table

    table = split_folds(
        read_manifest(snakemake.input.manifest),
        snakemake.params.number,
        snakemake.params.seed,
        fixed_folds(read_scan_table(snakemake.input.scans)),
        trained=snakemake.params.trained,
    )
    write_folds(table, snakemake.output[0])
