"""Check that given weights fit the cohort and the stage, and write a record of them."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.model.compatibility import Use, check_given_weights
    from nodulenet.settings import ModelSettings, PreprocessSettings

    model = snakemake.params.model
    use = Use(
        branches=snakemake.params.branches,
        fold=snakemake.params.fold,
        preprocess=PreprocessSettings.model_validate(snakemake.params.settings),
        model=ModelSettings.model_validate(model) if model else None,
    )
    check_given_weights([Path(path) for path in snakemake.input], use, Path(snakemake.output[0]))
