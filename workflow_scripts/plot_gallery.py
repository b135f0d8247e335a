"""Draw the best and the worst detections of one stage."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation import StageFiles
    from nodulenet.plots import plot_gallery

    files = StageFiles(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        Path(snakemake.input.predictions),
        [Path(folder) for folder in snakemake.input.masks],
    )
    plot_gallery(files, Path(snakemake.input.segmentation), Path(snakemake.output[0]))
