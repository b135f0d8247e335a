"""Compare the evaluated stages."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation.comparison import EvaluatedStage, compare_stages
    from nodulenet.plots import plot_ablation

    files = (map(Path, snakemake.input.froc), map(Path, snakemake.input.scans))
    stages = zip(snakemake.params.names, snakemake.params.trained, *files, strict=True)
    compare_stages(
        [EvaluatedStage(*stage) for stage in stages],
        snakemake.params.reference,
        Path(snakemake.input.readers),
        Path(snakemake.output.table),
    )
    plot_ablation(Path(snakemake.output.table), Path(snakemake.output.figure))
