"""Draw the histogram of Dice of the evaluated stages."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.plots import plot_segmentation

    tables = map(Path, snakemake.input.tables)
    names = snakemake.params.names
    plot_segmentation(
        dict(zip(names, tables, strict=True)),
        Path(snakemake.input.readers),
        Path(snakemake.output[0]),
    )
