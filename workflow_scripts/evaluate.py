"""Score one stage over all folds."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation import evaluate_stage
    from nodulenet.plots import plot_froc

    evaluate_stage(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        Path(snakemake.input.predictions),
        [Path(folder) for folder in snakemake.input.masks],
        snakemake.params.settings,
        snakemake.params.origin,
        Path(snakemake.output.froc).parent,
        [Path(table) for table in snakemake.input.challenge],
        snakemake.params.given,
    )
    froc = Path(snakemake.output.froc)
    plot_froc({froc.parent.name: froc}, Path(snakemake.output.figure))
