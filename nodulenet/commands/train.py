"""`nodulenet train`: one stage outside the workflow, as torchrun and srun start it."""

import argparse
import os
from pathlib import Path

from nodulenet.commands.options import add_command, count


def add_parser(commands: argparse._SubParsersAction) -> None:
    text = (
        "train one stage of one fold on data prepared by the workflow; alone, or as one of the"
        " processes of torchrun or srun"
    )
    parser = add_command(commands, "train", run, text)
    parser.add_argument(
        "output", type=Path, metavar="RESULTS", help="folder of the cohort, such as results/lidc"
    )
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        required=True,
        metavar="YAML",
        help="config files; later ones override earlier ones and the published values",
    )
    parser.add_argument("--fold", type=count, required=True, help="held-out fold")
    parser.add_argument("--stage", required=True, help="stage of train.stages")
    parser.add_argument(
        "--threads", type=count, default=4, metavar="N", help="threads per process (default: 4)"
    )


def run(options: argparse.Namespace) -> None:
    import logging

    from nodulenet.evaluation.held_out import score_validation
    from nodulenet.files import InputError
    from nodulenet.plan import initial_weights
    from nodulenet.progress import logging_beside_bars
    from nodulenet.settings import read_settings
    from nodulenet.training.distributed import LOG_FORMAT, rank_given
    from nodulenet.training.job import TrainingJob
    from nodulenet.training.train import train_stage

    rank = rank_given(os.environ)
    quiet = rank is not None and rank.number > 0
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format=LOG_FORMAT)
    settings = read_settings(options.config)
    stages = settings.train.stages
    if options.stage not in stages:
        raise InputError(f"--stage: {options.stage!r} is none of {', '.join(stages)}")
    folder = options.output / f"fold{options.fold}"
    before = stages[options.stage].after
    start = folder / before / "weights.pt" if before else initial_weights(settings)
    table = options.output / "hard_negatives.csv"
    job = TrainingJob(
        manifest=options.output / "manifest.tsv",
        folds=options.output / "folds.tsv",
        fold=options.fold,
        stage=options.stage,
        settings=settings,
        output=folder / options.stage,
        weights=Path(start) if start else None,
        momentum=folder / before / "momentum.pt" if before else None,
        hard_negatives=table if settings.augment.hard_negatives else None,
    )
    with logging_beside_bars():
        train_stage(job, options.threads, score_validation)
