"""Compiles every CUDA kernel for one compute capability, such as 90, with NVVM and ptxas from pip's
packages; no GPU is needed. Run as a script by `test_cuda.py`.

A line for each kernel: its name, registers, and bytes of stack and spills.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import nvidia
from numba import cuda, float32, int32, int64, types, uint8, uint64
from numba.cuda import dispatcher

from nodulenet.boxes import cuda_kernels, cuda_matching


def array(kind: types.Type, dimensions: int) -> types.Array:
    return types.Array(kind, dimensions, "C")


ROWS, CROPS, NUMBERS = array(float32, 2), array(float32, 3), array(int64, 2)
SIGNATURES = {
    "rank_corners": (ROWS, array(int64, 1), ROWS, array(int32, 1)),
    "fill_iou": (ROWS, ROWS, ROWS),
    "mask_chunk": (ROWS, int64, int64, float32, array(uint64, 2)),
    "resolve_chunk": (array(uint64, 2), int64, int64, array(uint8, 1), array(int64, 1)),
    "spread_chunk": (ROWS, int64, array(int64, 1), float32, array(uint8, 1)),
    "keep_first": (CROPS, ROWS, NUMBERS, float32, CROPS, NUMBERS),
    "best_of_truth": (CROPS, CROPS, ROWS),
    "label_all": (CROPS, CROPS, ROWS, float32, NUMBERS),
    "find_maxima": (
        *(array(float32, 5), array(int64, 1), NUMBERS, NUMBERS),
        *(CROPS, array(int32, 3)),
    ),
    "add_gradient": (CROPS, array(int32, 3), ROWS),
}


def kernels() -> dict[str, dispatcher.CUDADispatcher]:
    """All kernels by name; functions that only kernels call begin with an underscore."""
    return {
        name: value
        for module in (cuda_kernels, cuda_matching)
        for name, value in vars(module).items()
        if isinstance(value, dispatcher.CUDADispatcher) and not name.startswith("_")
    }


def assemble(ptx: str, capability: str) -> dict[str, int]:
    """Registers, stack and spilled bytes that ptxas reports; it must accept the code."""
    ptxas = next(path for root in nvidia.__path__ for path in Path(root).glob("*/bin/ptxas"))
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [ptxas, "-v", f"-arch=sm_{capability}", file.name, "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    patterns = {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores",
        "spill_loads": r"(\d+) bytes spill loads",
    }
    return {
        name: max(map(int, re.findall(pattern, done.stderr)), default=0)
        for name, pattern in patterns.items()
    }


def main(capability: str) -> None:
    found = kernels()
    assert found.keys() == SIGNATURES.keys()
    pair = int(capability[:-1]), int(capability[-1])
    # Functions that kernels call are compiled for the device at hand, of which there is none.
    device = SimpleNamespace(compute_capability=pair)
    with patch.object(dispatcher, "get_current_device", lambda: device):
        for name, signature in SIGNATURES.items():
            ptx, _ = cuda.compile_ptx(found[name].py_func, signature, cc=pair)
            assert not inexact(ptx), (name, inexact(ptx))
            costs = assemble(ptx, capability)
            print(name, *(f"{key}={value}" for key, value in costs.items()))


def inexact(ptx: str) -> list[str]:
    """Instructions that round otherwise than the CPU does: fused sums and fast divisions.

    A fused product to which zero is added is a plain product.
    """
    zeros = {"0f00000000", "0f80000000", *re.findall(r"mov\.[bf]32\s+(%\w+), 0f00000000;", ptx)}
    sums = re.findall(r"fma\.rn\.f32\s+\S+, \S+, \S+, (\S+);", ptx)
    return [last for last in sums if last not in zeros] + re.findall(r"div\.(?:full|approx)", ptx)


if __name__ == "__main__":
    main(sys.argv[1])
