"""Make the 1 mm volume of one scan and its labels."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.steps import Scan, preprocess_scan
    from nodulenet.settings import PreprocessSettings

    ct, *_ = map(Path, snakemake.input.ct)
    lung_mask = next(map(Path, snakemake.input.lung_mask), None)
    preprocess_scan(
        Scan(snakemake.params.series, ct, lung_mask, snakemake.resources.on_bad_scan),
        {name: Path(snakemake.input[name]) for name in ("nodules", "findings", "record")},
        PreprocessSettings(**snakemake.params.settings),
        {name: Path(path) for name, path in snakemake.output.items()},
    )
