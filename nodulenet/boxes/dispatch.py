"""Where calls on boxes are computed: the only place that looks at the type and device of inputs.

Tensors on a CUDA device are computed there by Numba's CUDA kernels. Those in main memory are seen
by Numba as NumPy arrays, without a copy. Without numba-cuda, tensors on a GPU are copied to main
memory and back, with a warning.
"""

import importlib.util
import logging
import multiprocessing
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

log = logging.getLogger(__name__)


def dispatch(cpu: Callable[..., Any], cuda: Callable[..., Any], *inputs: Any) -> Any:
    """Call `cuda` with tensors on a CUDA device, or else `cpu` with NumPy arrays.

    The result, an array or a tuple of arrays, is of the type and on the device of the first input;
    to it the others are moved.
    """
    first = inputs[0]
    if isinstance(first, Tensor) and runs_on_cuda(first):
        return cuda(*(torch.as_tensor(value, device=first.device).detach() for value in inputs))
    result = cpu(*(_to_numpy(value) for value in inputs))
    if not isinstance(first, Tensor):
        return result
    if isinstance(result, tuple):
        return tuple(torch.from_numpy(array).to(first.device) for array in result)
    return torch.from_numpy(result).to(first.device)


def runs_on_cuda(tensor: Tensor) -> bool:
    """Whether kernels run where the tensor is."""
    return tensor.device.type == "cuda" and _has_kernels()


@lru_cache
def _has_kernels() -> bool:
    found = importlib.util.find_spec("numba_cuda") is not None
    if not found:
        log.warning("numba-cuda is not installed: boxes are copied from the GPU, which is slow")
    return found


def many_threads() -> bool:
    """Whether a kernel may use Numba's threads: only in the main thread of a main process.

    OpenMP's threads do not survive a fork and would kill a data loader's worker.
    """
    main = threading.current_thread() is threading.main_thread()
    return main and multiprocessing.parent_process() is None


def checked_boxes(boxes: NDArray, name: str) -> NDArray[np.float32]:
    """Boxes as contiguous float32 (N, 6). Raises `ValueError` for another shape, a value that
    is not finite or a negative side."""
    array = np.ascontiguousarray(boxes, np.float32)
    if array.ndim != 2 or array.shape[1] != 6:
        raise ValueError(f"{name}: expected shape (N, 6), got {array.shape}")
    raise_fault(_fault(array), name)
    return array


def raise_fault(fault: int, name: str) -> None:
    """Raise the `ValueError` for a fault in the values of boxes; 0: none."""
    if fault:
        raise ValueError(
            f"{name}: {'a value is not finite' if fault > 1 else 'a side is negative'}"
        )


@njit(cache=True, nogil=True)
def _fault(boxes: NDArray) -> int:
    """2: a value is not finite; 1: a side is negative; 0: neither. One pass, no copies."""
    fault = 0
    for i in range(len(boxes)):
        for column in range(6):
            if not np.isfinite(boxes[i, column]):
                return 2
            if column >= 3 and boxes[i, column] < 0:
                fault = 1
    return fault


def _to_numpy(value: Any) -> NDArray:
    if not isinstance(value, Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    # NumPy has no bfloat16; float32 holds its values exactly.
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
