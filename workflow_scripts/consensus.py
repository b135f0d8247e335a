"""Form one scan's consensus nodules and list its findings."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.cohort.steps import Scan, consensus_scan
    from nodulenet.settings import ConsensusSettings, PreprocessSettings

    ct, on_bad_scan = Path(snakemake.input.ct[0]), snakemake.resources.on_bad_scan
    consensus_scan(
        Scan(snakemake.params.series, ct, on_bad_scan=on_bad_scan),
        Path(snakemake.input.reading),
        ConsensusSettings(**snakemake.params.settings["consensus"]),
        PreprocessSettings(**snakemake.params.settings["preprocess"]),
        {name: Path(path) for name, path in snakemake.output.items()},
    )
