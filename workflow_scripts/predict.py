"""Predict the held-out scans of one fold."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.inference.fold import PredictionJob, predict_fold
    from nodulenet.settings import InferenceSettings

    job = PredictionJob(
        manifest=Path(snakemake.input.manifest),
        folds=Path(snakemake.input.folds),
        fold=snakemake.params.fold,
        weights=[Path(path) for path in snakemake.input.weights],
        output=Path(snakemake.output.predictions).parent,
        branches=snakemake.params.branches,
        settings=InferenceSettings.model_validate(snakemake.params.settings),
        device=snakemake.resources.device,
        amp=snakemake.params.amp,
    )
    predict_fold(job, snakemake.threads)
