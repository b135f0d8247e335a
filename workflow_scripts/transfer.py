"""Compare the scores on an external cohort with those on the training cohort."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.evaluation.transfer import CohortFiles, compare_cohorts
    from nodulenet.plots import plot_transfer

    names = tuple(snakemake.params.names)
    frocs = tuple(map(Path, snakemake.input.froc))
    trained, tested = (
        CohortFiles(name, Path(manifest), Path(folds), froc.parent)
        for name, manifest, folds, froc in zip(
            names, snakemake.input.manifest, snakemake.input.folds, frocs, strict=True
        )
    )
    output = Path(snakemake.output.groups).parent
    compare_cohorts(trained, tested, output)
    plot_transfer(names, frocs, output, Path(snakemake.output.figure))
