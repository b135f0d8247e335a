"""Compare the readers of every nodule with one another."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation.readers import score_readers
    from nodulenet.evaluation.tables import Origin

    score_readers(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        Origin(**snakemake.params.origin),
        Path(snakemake.output.table).parent,
    )
