"""Concatenate the predictions of all folds."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.inference.table import concat_predictions

    concat_predictions(
        [Path(path).parent for path in snakemake.input.records],
        Path(snakemake.input.folds),
        Path(snakemake.output[0]),
    )
