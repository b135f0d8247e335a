"""Where a call on boxes is computed: the one place that looks at the kind and device of its input.

NumPy arrays and torch tensors are taken alike and the result is of the first input's kind, on its
device. Tensors on a GPU are copied to main memory and back: kernels for other devices belong here.
"""

import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def dispatch(cpu: Callable[..., NDArray], *inputs: Any) -> Any:
    """Call `cpu` with the inputs as NumPy arrays; return its result as the first input's kind."""
    result = cpu(*(_to_numpy(value) for value in inputs))
    if not _is_tensor(inputs[0]):
        return result
    import torch

    return torch.from_numpy(result).to(inputs[0].device)


def many_threads() -> bool:
    """Whether a kernel may use Numba's threads: only in the main thread of a main process.

    OpenMP's threads do not outlive a fork, so a data loader's worker would be killed by them.
    """
    main = threading.current_thread() is threading.main_thread()
    return main and multiprocessing.parent_process() is None


def checked_boxes(boxes: NDArray, name: str) -> NDArray[np.float32]:
    """Boxes as contiguous float32 (N, 6). Raises `ValueError` for another shape, a value that
    is not finite or a negative side."""
    array = np.ascontiguousarray(boxes, np.float32)
    if array.ndim != 2 or array.shape[1] != 6:
        raise ValueError(f"{name}: expected shape (N, 6), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: a value is not finite")
    if (array[:, 3:] < 0).any():
        raise ValueError(f"{name}: a side is negative")
    return array


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _to_numpy(value: Any) -> NDArray:
    if not _is_tensor(value):
        return np.asarray(value)
    value = value.detach().cpu()
    # NumPy has no bfloat16; float32 holds its values exactly.
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
