"""Several processes train as one that accumulates the same micro-batches."""

import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rank_program
import small_training
import torch

from nodulenet.files import InputError
from nodulenet.model.objective import Crops, Objective, loss_terms
from nodulenet.model.targets import padded_truth, truth_boxes
from nodulenet.settings import TrainSettings
from nodulenet.training import train_stage
from nodulenet.training.dataset import cut_sample, load_training_scans
from nodulenet.training.distributed import Rank, first_node, rank_given, start_ranks
from nodulenet.training.feed import (
    CUT,
    ORDER,
    check_sharing,
    epoch_samples,
    generator,
    target_seed,
)
from nodulenet.training.optimiser import start
from nodulenet.training.stages import learning_rate, resolve_stage

EPOCHS, CROPS, BATCH = 10, 5, 3
TERMS = ["ncs_class", "ncs_box", "dfps_class", "dfps_box", "sr"]


def several(processes: int) -> dict[str, Any]:
    """Settings of 10 epochs of 5 crops in batches of 3, every crop a micro-batch: 20 steps."""
    settings = copy.deepcopy(small_training.SETTINGS)
    settings["augment"]["random_crops"] = CROPS - 1
    settings["sr"] = {"threshold": 0.1}
    settings["train"] |= {
        "stages": {"full": {"after": None, "epochs": EPOCHS, "branches": ["ncs", "dfps", "sr"]}},
        "batch": BATCH,
        "micro_batch": 1,
        "gpus": processes,
        "lr": 0.005,
    }
    return settings


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return small_training.write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def on_two(cohort: tuple[Path, Path], once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    """The folder of a stage that two processes trained."""

    def train(output: Path) -> None:
        train_stage(small_training.job(cohort, "full", output, several(2)), threads=2)

    return once("on_two", train)


def accumulate(cohort: tuple[Path, Path]) -> list[list[float]]:
    """The loss terms of every epoch of one plain loop over the micro-batches.

    The means are averaged over the micro-batches, which hold a crop each, and the Dice losses
    summed; gradients are added up in double precision.
    """
    job = small_training.job(cohort, "full", Path(), several(1))
    settings = job.settings
    stage = resolve_stage(settings.train, "full")
    objective = Objective(stage.branches, settings)
    scans = load_training_scans(*cohort, 1)
    net, optimiser = start(job, torch.device("cpu"))
    net.train()
    rows = []
    for epoch in range(EPOCHS):
        optimiser.param_groups[0]["lr"] = learning_rate(settings.train.lr, stage, epoch)
        seed = [0, 1, epoch]
        samples = epoch_samples(scans, settings.augment, generator(seed, 0, ORDER))
        steps = []
        for batch in (range(BATCH), range(BATCH, CROPS)):
            terms = dict.fromkeys(TERMS, 0.0)
            sums: dict[str, torch.Tensor] = {}
            for k in batch:
                image, labels = cut_sample(scans, samples[k], settings, generator(seed, k, CUT))
                truth, sized = padded_truth([truth_boxes(labels, settings.targets.margin_total)])
                crops = Crops(
                    torch.from_numpy(image)[None, None],
                    torch.from_numpy(labels > 0)[None, None],
                    labels[None] > 0,
                    torch.from_numpy(truth),
                    torch.from_numpy(sized),
                    torch.tensor([target_seed(seed, k)]),
                )
                found = loss_terms(net, crops, objective)
                shares = {n: t if n == "sr" else t / len(batch) for n, t in found.items()}
                optimiser.zero_grad()
                sum(shares.values()).backward()
                for name, p in net.named_parameters():
                    if p.grad is not None:
                        sums[name] = sums.get(name, 0) + p.grad.double()
                terms = {n: terms[n] + float(shares[n].detach()) for n in terms}
            for name, p in net.named_parameters():
                p.grad = sums[name].float() if name in sums else None
            optimiser.step()
            steps.append(list(terms.values()))
        rows.append(np.mean(steps, 0).tolist())
    return rows


@pytest.mark.slow
def test_two_processes_lose_as_one_that_accumulates(
    cohort: tuple[Path, Path], on_two: Path
) -> None:
    history = pd.read_csv(on_two / "history.csv")
    assert history.steps.sum() == 20
    torch.set_num_threads(1)
    expected = np.array(accumulate(cohort))
    assert (expected[:, TERMS.index("sr")] > 0).sum() > 3  # segmented at times
    np.testing.assert_allclose(history[TERMS], expected, atol=1e-5, rtol=0)
    assert (history.processes == 2).all()
    assert (history[["samples_per_s", "step_s"]] > 0).all(axis=None)
    assert (history.data_wait_s >= 0).all()
    assert np.allclose(history.samples_per_s * history.seconds, CROPS, atol=0.1)


@pytest.mark.slow
def test_a_training_goes_on_with_fewer_processes(
    cohort: tuple[Path, Path], on_two: Path, tmp_path: Path
) -> None:
    """Two processes of a Slurm step, one of which dies; then one alone ends the stage."""
    settings, output = several(1), tmp_path / "full"
    names = ("manifest", "folds")
    job = dict(zip(names, map(str, cohort), strict=True)) | {"output": str(output)}
    (tmp_path / "job.json").write_text(json.dumps(job | {"settings": settings}))
    ends = [process.wait(300) for process in slurm_step(tmp_path / "job.json")]
    assert ends[1] == 9
    assert ends[0] != 0
    assert len(torch.load(output / "checkpoint.pt", weights_only=True)["history"]) == 2
    assert not (output / "weights.pt").exists()

    train_stage(small_training.job(cohort, "full", output, settings), threads=1)
    assert pd.read_csv(output / "history.csv").processes.tolist() == [2, 2] + [1] * 8
    ours, theirs = (small_training.tensors(folder) for folder in (output, on_two))
    # The sums of the two have another order, which may change the last bit.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


def slurm_step(job: Path) -> list[subprocess.Popen[bytes]]:
    """Two processes with what srun would tell them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    step = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost,other[1-2]",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return [
        subprocess.Popen(
            [sys.executable, rank_program.__file__, str(job)],
            env={**os.environ, **step, "SLURM_PROCID": str(k), "SLURM_LOCALID": str(k)},
            stderr=subprocess.DEVNULL,
        )
        for k in range(2)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("fault", InputError, r"^a\.tsv: a fault$"),
        ("kill", RuntimeError, r"^process 1 ended with status -9$"),
    ],
)
def test_one_process_that_fails_ends_all(how: str, kind: type[Exception], message: str) -> None:
    devices = [torch.device("cpu")] * 2
    with pytest.raises(kind, match=message):
        start_ranks(devices, 1, rank_program.break_second, (how,))


def test_synchronised_normalisation_is_refused_on_the_cpu(
    cohort: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = several(1)
    settings["train"]["sync_batch_norm"] = True
    with pytest.raises(InputError, match=r"train\.sync_batch_norm: needs CUDA"):
        train_stage(small_training.job(cohort, "full", tmp_path, settings), threads=1)


def test_a_batch_needs_a_crop_for_every_process(caplog: pytest.LogCaptureFixture) -> None:
    train = TrainSettings(batch=4, micro_batch=2)
    check_sharing(train, Rank(0, 2))
    assert not caplog.records
    check_sharing(train, Rank(0, 4))
    assert "2 of 4 processes have none" in caplog.text
    with pytest.raises(InputError, match=r"train\.batch: 4 crops .* 5 processes"):
        check_sharing(train, Rank(0, 5))


SLURM = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}
STEP = {"SLURM_STEP_NODELIST": "gpu[03-04]", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_ID": "2"}


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, None),
        ({"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}, Rank(3, 4, 1, "env://")),
        (SLURM | STEP, Rank(3, 4, 1, "tcp://gpu03:20450")),
        (SLURM | STEP | {"MASTER_ADDR": "a", "MASTER_PORT": "1"}, Rank(3, 4, 1, "tcp://a:1")),
        (SLURM, None),  # a batch script: nobody else was started
        (SLURM | STEP | {"SLURM_STEP_NUM_TASKS": "1"}, None),  # one task: a job of Snakemake
    ],
)
def test_a_process_knows_its_number(environment: Mapping[str, str], rank: Rank | None) -> None:
    assert rank_given(environment) == rank


def test_an_environment_that_is_not_whole_is_named() -> None:
    with pytest.raises(InputError, match="RANK is not set beside WORLD_SIZE"):
        rank_given({"WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    with pytest.raises(InputError, match=r"WORLD_SIZE.*'many'"):
        rank_given({"WORLD_SIZE": "many", "RANK": "0", "LOCAL_RANK": "1"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu7,gpu8", "gpu7"),
        ("gpu[03-05,9],login", "gpu03"),
        ("gpu[12,14-15]-ib", "gpu12-ib"),
        ("rack[1-2]n[03-04]", "rack1n03"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


@pytest.mark.slow
def test_the_number_of_processes_is_no_part_of_a_training(
    cohort: tuple[Path, Path], on_two: Path
) -> None:
    provenance = torch.load(on_two / "weights.pt", weights_only=True)["settings"]
    assert provenance["train"]["gpus"] == 1  # the default
    assert provenance["train"]["micro_batch"] == 1
