"""What the tests of distributed training run in processes of their own."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import small_training
import torch

from nodulenet.evaluation.held_out import gathered
from nodulenet.files import InputError
from nodulenet.model import NoduleNet
from nodulenet.settings import Branch, Recipe
from nodulenet.training import train as train_module
from nodulenet.training.distributed import Rank
from nodulenet.training.job import HeldOut


def break_second(rank: Rank, device: torch.device, how: str) -> None:
    """The first process waits for the second, which fails."""
    if rank.number == 0:
        torch.distributed.all_reduce(torch.zeros(1, device=device))
    elif how == "fault":
        raise InputError("a.tsv: a fault")
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def die_in_third_epoch(job: dict[str, Any]) -> None:
    """Train, but the second process exits silently at the start of its third epoch."""
    real, seen = train_module.one_epoch, []

    def one_epoch(*arguments: Any) -> Any:
        seen.append(1)
        if os.environ["SLURM_PROCID"] == "1" and len(seen) == 3:
            os._exit(9)
        return real(*arguments)

    train_module.one_epoch = one_epoch
    cohort = Path(job["manifest"]), Path(job["folds"])
    mine = small_training.job(cohort, "full", Path(job["output"]), job["settings"])
    train_module.train_stage(mine, threads=1)


def count_gathered(
    _: NoduleNet, held: HeldOut, __: Sequence[Branch], ___: Recipe, rank: Rank
) -> float:
    """In the place of a CPM: how many scans come together where each process has its share."""
    own = [
        pd.DataFrame({"seriesuid": [series]}) for series in held.series[rank.number :: rank.size]
    ]
    return float(pd.concat(gathered(own, rank)).seriesuid.nunique())


if __name__ == "__main__":
    die_in_third_epoch(json.loads(Path(sys.argv[1]).read_text()))
