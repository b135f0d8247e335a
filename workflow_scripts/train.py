"""Train one stage on every fold but one."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.training import train_stage

    files = {name: snakemake.input.get(name) for name in ("weights", "momentum")}
    train_stage(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        snakemake.params.fold,
        snakemake.params.stage,
        {**snakemake.params.settings, "train": snakemake.params.train},
        {name: Path(path) for name, path in files.items() if path},
        Path(snakemake.output.weights).parent,
        snakemake.threads,
    )
