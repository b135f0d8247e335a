"""Draw the training curves of one fold."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.plots import plot_training

    tables = map(Path, snakemake.input.histories)
    plot_training(dict(zip(snakemake.params.names, tables, strict=True)), Path(snakemake.output[0]))
