"""The workflow on a real scheduler: Debian's Slurm, started on this machine."""

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import running

pytestmark = pytest.mark.slow

EPOCHS = 24
GROUP = "rule_scan_annotations_consensus_preprocess"
KILLED = "rule_train_wildcards_0_full"
WEIGHTS = "results/tiny/fold0/full/weights.pt"
# The profile as it is, for a machine of two cores. There is no accounting here, so squeue tells
# how jobs fare; and nobody waits 40 s for a job of seconds.
BY_SLURM = (
    *("--workflow-profile", "profiles/slurm", "--cores", "2"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
)


@dataclass(frozen=True)
class Run:
    """A clone with everything computed by Slurm, and its jobs by comment, oldest first."""

    clone: Path
    jobs: dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def slurm_run(nodes: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole DAG by the profile, with one training cancelled on the way."""
    clone = tmp_path_factory.mktemp("slurm")
    train = running.clone(clone)["train"]
    train["stages"]["full"]["epochs"] = EPOCHS
    running.configure(clone, train=train | {"evaluate": ["full"]})
    process = running.start(clone, *BY_SLURM)
    try:
        cancel_training(clone, process)
        running.end(process, 0)
    finally:
        process.kill()
    return Run(clone, show_jobs())


def cancel_training(clone: Path, process: subprocess.Popen[str]) -> None:
    """Cancel the job KILLED as soon as it has finished an epoch."""
    while not (clone / WEIGHTS).with_name("checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    (job,) = show_jobs()[KILLED]
    subprocess.run(["scancel", job["JobId"]], check=True)


def show_jobs() -> dict[str, list[dict[str, str]]]:
    """What `scontrol show job` says of every job, by its comment."""
    command = ["scontrol", "show", "job", "--oneliner"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    jobs: dict[str, list[dict[str, str]]] = {}
    for line in shown.stdout.splitlines():
        job = dict(re.findall(r"(\S+?)=(\S*)", line))
        jobs.setdefault(job["Comment"], []).append(job)
    return jobs


def requests(job: dict[str, str]) -> tuple[str, int, int, str, str | None]:
    """Partition, CPUs, memory in MB, time limit and GPUs that a job asked for."""
    memory = job["MinMemoryNode"]
    megabytes = float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]]
    gpus = job.get("TresPerJob")
    return job["Partition"], int(job["NumCPUs"]), round(megabytes), job["TimeLimit"], gpus


def test_the_dag_ends_in_the_pooled_froc(slurm_run: Run) -> None:
    results = slurm_run.clone / "results/tiny"
    manifest = pd.read_csv(results / "manifest.tsv", sep="\t")
    assert manifest["n_kept"].tolist() == [2, 1, 1, 0]
    ensemble = json.loads((results / "full/froc.json").read_text())["sets"]["ensemble"]
    assert (ensemble["scans"], ensemble["nodules"]) == (3, 4)
    assert "Nothing to be done" in running.run(slurm_run.clone, *BY_SLURM)


def test_every_rule_but_the_small_ones_is_a_job(slurm_run: Run) -> None:
    trained = {f"rule_train_wildcards_{k}_{stage}" for k in (0, 1) for stage in ("ncs", "full")}
    predicted = {f"rule_predict_wildcards_{k}_full" for k in (0, 1)}
    scored = {"rule_evaluate_wildcards_full", "rule_plot_gallery_wildcards_full"}
    compared = {"rule_reader_pairs", "rule_ablation", "rule_cohort_report"}
    assert set(slurm_run.jobs) == {GROUP} | trained | predicted | scored | compared


def test_the_scans_of_a_group_are_one_job(slurm_run: Run) -> None:
    (job,) = slurm_run.jobs[GROUP]
    # Two of the four scans at a time: twice 4 GB, and twice 10 + 10 + 20 minutes.
    assert requests(job) == ("cpu", 2, 8000, "01:20:00", None)


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("rule_train_wildcards_1_full", ("gpu", 2, 32000, "1-00:00:00", "gres:gpu:1")),
        ("rule_predict_wildcards_0_full", ("gpu", 2, 32000, "04:00:00", "gres:gpu:1")),
        ("rule_evaluate_wildcards_full", ("cpu", 1, 16000, "01:00:00", None)),
        ("rule_plot_gallery_wildcards_full", ("cpu", 1, 4000, "01:00:00", None)),
    ],
)
def test_jobs_ask_for_what_the_profile_says(
    slurm_run: Run, comment: str, expected: tuple[str, int, int, str, str | None]
) -> None:
    assert [requests(job) for job in slurm_run.jobs[comment]] == [expected]


def test_a_cancelled_training_is_tried_again_with_more_memory(slurm_run: Run) -> None:
    first, second = slurm_run.jobs[KILLED]
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert requests(first) == ("gpu", 2, 32000, "1-00:00:00", "gres:gpu:1")
    assert requests(second) == ("gpu", 2, 64000, "1-00:00:00", "gres:gpu:1")
    others = [job for comment, jobs in slurm_run.jobs.items() if comment != KILLED for job in jobs]
    assert {job["JobState"] for job in others} == {"COMPLETED"}


def test_a_cancelled_training_ends_as_one_that_was_not(slurm_run: Run, tmp_path: Path) -> None:
    log = (slurm_run.clone / "logs/tiny/train/fold0_full.log").read_text()
    assert "resumed after" in log
    alone = Path(shutil.copytree(slurm_run.clone, tmp_path / "clone", symlinks=True))
    shutil.rmtree((alone / WEIGHTS).parent)
    running.run(alone, "--cores", "2", "--set-threads", "train=2", "--", WEIGHTS)
    assert "resumed" not in (alone / "logs/tiny/train/fold0_full.log").read_text()
    assert running.same_weights(slurm_run.clone / WEIGHTS, alone / WEIGHTS)
    history = pd.read_csv((slurm_run.clone / WEIGHTS).with_name("history.csv"))
    assert history["epoch"].tolist() == list(range(1, 1 + EPOCHS))  # after one of stage ncs


def test_one_job_can_have_both_nodes(nodes: tuple[str, ...]) -> None:
    say = "echo $SLURMD_NODENAME $SLURM_PROCID/$SLURM_NTASKS"
    command = ["srun", "--partition=gpu", "--nodes=2", "--ntasks=2", "--gpus-per-node=1"]
    said = subprocess.run([*command, "sh", "-c", say], check=True, capture_output=True, text=True)
    assert sorted(said.stdout.splitlines()) == [f"{name} {k}/2" for k, name in enumerate(nodes)]
