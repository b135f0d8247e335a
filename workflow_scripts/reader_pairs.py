"""Compare the readers of every nodule with one another."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation.agreement import score_readers

    score_readers(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        snakemake.params.origin,
        Path(snakemake.output.table).parent,
    )
