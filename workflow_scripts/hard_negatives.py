"""Find the false positives of the weights that training starts from."""

from pathlib import Path

from job_log import logged

with logged(snakemake):
    import torch

    from nodulenet.evaluation.hard_negatives import find_hard_negatives
    from nodulenet.settings import Recipe

    torch.set_num_threads(snakemake.threads)
    train = {"amp": snakemake.params.amp, "device": snakemake.resources.device}
    find_hard_negatives(
        Path(snakemake.input.manifest),
        Path(snakemake.input.folds),
        Path(snakemake.input.weights),
        Recipe.model_validate({"inference": snakemake.params.inference, "train": train}),
        Path(snakemake.output[0]),
    )
