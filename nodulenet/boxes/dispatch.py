"""Where calls on boxes are computed: the only place that looks at the type and device of inputs.

NumPy arrays and torch tensors are both accepted; the result has the first input's type and device.
Calls with CUDA kernels run them on tensors on a CUDA device; without kernels, or if numba-cuda is
not installed, tensors on a GPU are copied to main memory and back.
"""

import importlib.util
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def dispatch(
    cpu: Callable[..., NDArray], *inputs: Any, cuda: Callable[..., Any] | None = None
) -> Any:
    """Call `cpu` with the inputs as NumPy arrays; return its result as the first input's type.

    If the first input is a tensor on a CUDA device and `cuda` is given, call that instead, with
    all inputs as tensors there.
    """
    if not _is_tensor(inputs[0]):
        return cpu(*(_to_numpy(value) for value in inputs))
    import torch

    device = inputs[0].device
    if cuda is not None and device.type == "cuda" and importlib.util.find_spec("numba_cuda"):
        return cuda(*(torch.as_tensor(value, device=device).detach() for value in inputs))
    return torch.from_numpy(cpu(*(_to_numpy(value) for value in inputs))).to(device)


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


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _to_numpy(value: Any) -> NDArray:
    if not _is_tensor(value):
        return np.asarray(value)
    value = value.detach().cpu()
    # NumPy has no bfloat16; float32 holds its values exactly.
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
