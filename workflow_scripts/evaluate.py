"""Evaluate one stage over all folds."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation import StageFiles, evaluate_stage
    from nodulenet.evaluation.tables import Origin
    from nodulenet.plots import plot_froc
    from nodulenet.settings import FrocSettings

    evaluate_stage(
        StageFiles(
            Path(snakemake.input.manifest),
            Path(snakemake.input.folds),
            Path(snakemake.input.predictions),
            [Path(folder) for folder in snakemake.input.masks],
            [Path(table) for table in snakemake.input.challenge],
        ),
        FrocSettings(**snakemake.params.settings),
        Origin(**snakemake.params.origin),
        Path(snakemake.output.froc).parent,
        snakemake.params.given,
    )
    froc = Path(snakemake.output.froc)
    plot_froc({froc.parent.name: froc}, Path(snakemake.output.figure))
