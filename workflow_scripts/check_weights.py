"""Check that given weights fit the cohort and the stage, and note what they are."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.model.given import check_given

    check_given(
        Path(snakemake.input[0]),
        snakemake.params.branches,
        snakemake.params.fold,
        snakemake.params.settings,
        snakemake.params.model,
        Path(snakemake.output[0]),
    )
