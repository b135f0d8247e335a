"""Compare the evaluated stages."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation.ablation import EvaluatedStage, compare_stages
    from nodulenet.plots import plot_ablation

    paths = (map(Path, snakemake.input.predictions), map(Path, snakemake.input.froc))
    stages = zip(snakemake.params.names, snakemake.params.trained, *paths, strict=True)
    compare_stages(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        [EvaluatedStage(*stage) for stage in stages],
        snakemake.params.reference,
        snakemake.params.settings,
        snakemake.params.origin,
        Path(snakemake.input.readers),
        Path(snakemake.output.table),
        [Path(table) for table in snakemake.input.challenge],
    )
    plot_ablation(Path(snakemake.output.table), Path(snakemake.output.figure))
