"""Predict the held-out scans of one fold."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.inference.predict import predict_fold

    predict_fold(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        snakemake.params.fold,
        Path(snakemake.input.weights),
        snakemake.params.branches,
        {**snakemake.params.settings, "train": snakemake.params.train},
        Path(snakemake.output.predictions).parent,
        snakemake.threads,
    )
