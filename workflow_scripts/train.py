"""Train one stage on every fold but one."""

from pathlib import Path

from job_log import logged

# Training on several devices starts processes that import this file too.
if __name__ == "__main__":
    with logged(snakemake):
        from nodulenet.evaluation.held_out import score_validation
        from nodulenet.settings import Recipe
        from nodulenet.training import TrainingJob, train_stage

        INPUTS = ("weights", "momentum", "hard_negatives")
        files = {name: snakemake.input.get(name) for name in INPUTS}
        settings = snakemake.params.settings
        machine = {"device": snakemake.resources.device, "gpus": snakemake.resources.processes}
        job = TrainingJob(
            manifest=Path(snakemake.input.manifest),
            folds=Path(snakemake.input.folds),
            fold=snakemake.params.fold,
            stage=snakemake.params.stage,
            settings=Recipe.model_validate({**settings, "train": {**settings["train"], **machine}}),
            output=Path(snakemake.output.weights).parent,
            **{name: Path(path) for name, path in files.items() if path},
        )
        train_stage(job, snakemake.threads, score_validation)
