"""Draw the FROC curves of the evaluated stages."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.plots import plot_froc

    tables = map(Path, snakemake.input.froc)
    plot_froc(dict(zip(snakemake.params.names, tables, strict=True)), Path(snakemake.output[0]))
