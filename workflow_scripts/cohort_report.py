"""Write the report page of a cohort."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    from nodulenet.report import About, Sources, write_report

    single = ("manifest", "folds", "predictions", "nodules", "false_positives")
    single += ("ablation", "readers", "timings")
    external: dict[str, dict[str, Path]] = {}
    for path in map(Path, snakemake.input.external):
        external.setdefault(path.parents[1].name, {})[path.parent.name] = path
    sources = Sources(
        froc=dict(zip(snakemake.params.names, map(Path, snakemake.input.froc), strict=True)),
        masks=[Path(folder) for folder in snakemake.input.masks],
        figures={Path(path).stem: Path(path) for path in snakemake.input.figures},
        external=external,
        **{name: Path(snakemake.input[name]) for name in single},
    )
    write_report(sources, About(**snakemake.params.about), Path(snakemake.output[0]))
