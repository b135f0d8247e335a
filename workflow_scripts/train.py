"""Train one stage on every fold but one."""

from pathlib import Path

from job_log import logged

# The processes that a training on several devices starts read this file too.
if __name__ == "__main__":
    with logged(snakemake):
        from nodulenet.evaluation.validation import score_validation
        from nodulenet.training import train_stage

        files = {name: snakemake.input.get(name) for name in ("weights", "momentum")}
        own = {**snakemake.params.train, "gpus": snakemake.resources.ranks}
        train_stage(
            Path(snakemake.input.manifest),
            Path(snakemake.input.folds),
            snakemake.params.fold,
            snakemake.params.stage,
            {**snakemake.params.settings, "train": own},
            {name: Path(path) for name, path in files.items() if path},
            Path(snakemake.output.weights).parent,
            snakemake.threads,
            score_validation,
        )
