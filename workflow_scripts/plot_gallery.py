"""Draw the best and the worst detections of one stage."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.plots import plot_gallery

    plot_gallery(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        Path(snakemake.input.predictions),
        [Path(folder) for folder in snakemake.input.masks],
        Path(snakemake.output[0]),
    )
