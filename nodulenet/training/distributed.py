"""The processes of one training: how they start, connect and end.

There are three ways to start several processes: torchrun (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR
and MASTER_PORT), Slurm's srun (the variables of its job step), and on one machine `train.gpus`.
"""

import logging
import os
import re
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch.multiprocessing.spawn import ProcessContext, ProcessException

from nodulenet.files import InputError
from nodulenet.model.device import choose_device
from nodulenet.model.gpu_lock import hold_devices
from nodulenet.numerals import to_count

log = logging.getLogger(__name__)

TIMEOUT = timedelta(minutes=10)
"""A process that waits longer for the others fails."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"

Work = Callable[..., None]


@dataclass(frozen=True)
class Rank:
    """One process: its rank among all and on its machine, and the address where all connect."""

    number: int = 0
    size: int = 1
    local: int = 0
    meeting: str = "env://"


ALONE = Rank()
"""The one process of a training that has no others."""


def run_on_ranks(
    work: Work, arguments: Sequence[Any], device: str, processes: int, threads: int
) -> None:
    """Call `work(rank, device, *arguments)` in this process or in every process of the training.

    In a process started by torchrun or srun, it is called as one of theirs, and `processes` is
    ignored; else `processes` of them are started on this machine. On GPUs each has one that no
    other training or prediction on this machine uses. threads: of this call, shared by the
    processes that it starts. Raises `InputError`, also that of a process that it started.
    """
    kind = choose_device(device).type
    given = rank_given(os.environ)
    if given:
        join_ranks(given, own_device(given, kind), threads, work, arguments)
        return
    with hold_devices(kind, processes) as devices:
        if processes == 1:
            torch.set_num_threads(threads)
            work(Rank(), devices[0], *arguments)
        else:
            start_ranks(devices, max(1, threads // processes), work, arguments)


def rank_given(environment: Mapping[str, str]) -> Rank | None:
    """The rank of this process under torchrun or srun; None if it is alone.

    Raises `InputError` if a variable is missing.
    """
    if "WORLD_SIZE" in environment:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    elif "SLURM_STEP_NODELIST" in environment:  # set by srun only: a batch script has no step list
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    else:
        return None
    try:
        number, size, local = (to_count(environment[name]) for name in names)
    except KeyError as error:
        raise InputError(f"environment: {error.args[0]} is not set beside {names[1]}") from None
    except ValueError as error:
        raise InputError(f"environment: {', '.join(names)}: {error}") from None
    if size == 1:
        return None
    slurm = "WORLD_SIZE" not in environment
    return Rank(number, size, local, slurm_meeting(environment) if slurm else "env://")


def slurm_meeting(environment: Mapping[str, str]) -> str:
    """The address where the processes of a Slurm step connect: its first node, a port derived from
    the job and the step.

    MASTER_ADDR and MASTER_PORT take precedence if set.
    """
    job, step = (to_count(environment.get(name, "0")) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = 20000 + (64 * job + step) % 20000
    host = first_node(environment["SLURM_STEP_NODELIST"])
    return f"tcp://{environment.get('MASTER_ADDR', host)}:{environment.get('MASTER_PORT', port)}"


def first_node(nodes: str) -> str:
    """First name of a Slurm node list: `gpu[03-05,9],login` -> `gpu03`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first.group() if first else nodes)


def own_device(rank: Rank, kind: str) -> torch.device:
    """The device of a process of torchrun or srun: by its number on its machine.

    Also works if the scheduler shows every process only its own GPU. Raises `InputError` if there
    are more processes than GPUs.
    """
    if kind == "cpu":
        return torch.device("cpu")
    shown = torch.cuda.device_count()
    if 1 < shown <= rank.local:
        raise InputError(f"process {rank.number} is number {rank.local} of {shown} GPUs")
    return torch.device("cuda", rank.local if shown > 1 else 0)


def join_ranks(
    rank: Rank, device: torch.device, threads: int, work: Work, arguments: Sequence[Any]
) -> None:
    """Connect to the other processes and call `work(rank, device, *arguments)` as one of them.

    If a process fails, the others notice the lost connection and fail too.
    """
    torch.set_num_threads(threads)
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "nccl"
    torch.distributed.init_process_group(
        backend,
        init_method=rank.meeting,
        rank=rank.number,
        world_size=rank.size,
        timeout=TIMEOUT,
    )
    work(rank, device, *arguments)
    torch.distributed.destroy_process_group()


def start_ranks(
    devices: Sequence[torch.device], threads: int, work: Work, arguments: Sequence[Any]
) -> None:
    """Start one process per device; if one fails, terminate all and raise its error.

    They are spawned, so the main script must be guarded by `if __name__ == "__main__"`; they end
    with this process.
    """
    size = len(devices)
    faults = torch.multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        ranks = [Rank(k, size, k, f"file://{folder}/meeting") for k in range(size)]
        calls = [(rank, device, threads) for rank, device in zip(ranks, devices, strict=True)]
        content = (calls, faults, work, arguments)
        context = torch.multiprocessing.spawn(run_rank, content, size, join=False)
        try:
            while not context.join():
                continue
        except ProcessException as error:
            raise cause_of(context, faults) from error
        finally:
            for process in context.processes:
                process.terminate()


def run_rank(
    number: int,
    calls: Sequence[tuple[Rank, torch.device, int]],
    faults: Any,
    work: Work,
    arguments: Sequence[Any],
) -> None:
    """The main function of a started process; its error is sent to the parent process."""
    logging.basicConfig(level=logging.WARNING if number else logging.INFO, format=LOG_FORMAT)
    try:
        join_ranks(*calls[number], work, arguments)
    except InputError as error:
        faults.put(error)
        raise
    except Exception as error:
        log.exception("process %d", number)
        faults.put(RuntimeError(f"process {number}: {type(error).__name__}: {error}"))
        raise


def cause_of(context: ProcessContext, faults: Any) -> Exception:
    """The first error of the processes, rather than those of processes that lost a peer."""
    reported: list[Exception] = []
    while not faults.empty():
        reported.append(faults.get())
    if reported and isinstance(reported[0], InputError):
        return reported[0]
    for number, process in enumerate(context.processes):
        if process.exitcode not in (0, 1, -signal.SIGTERM):
            return RuntimeError(f"process {number} ended with status {process.exitcode}")
    return reported[0] if reported else RuntimeError("a process of the training exited silently")


def agree(rank: Rank, state: Any) -> None:
    """Raise `InputError` unless every process starts from the same state (plain types)."""
    if rank.size == 1:
        return
    states: list[Any] = [None] * rank.size
    torch.distributed.all_gather_object(states, state)
    others = [k for k, other in enumerate(states) if other != states[0]]
    if others:
        raise InputError(
            f"processes {others} see other files or settings than process 0: {states[others[0]]},"
            f" not {states[0]}; is the folder of results shared by all machines?"
        )
