"""Train one stage on every fold but one."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.training import train_stage

    parent = list(snakemake.input.parent)
    train_stage(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        snakemake.params.fold,
        snakemake.params.stage,
        {**snakemake.params.settings, "train": snakemake.params.train},
        Path(parent[0]).parent if parent else None,
        Path(snakemake.output.weights).parent,
        snakemake.threads,
    )
