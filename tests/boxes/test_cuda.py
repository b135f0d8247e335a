"""The CUDA kernels: in Numba's simulator in every run, on a GPU where there is one."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nodulenet.boxes import dispatch as dispatch_module
from nodulenet.boxes import iou_matrix, nms

ROOT = Path(__file__).parents[2]


def test_kernels_in_the_simulator_equal_the_cpu():
    script = Path(__file__).with_name("cuda_simulator.py")
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "as the CPU"


def test_a_cuda_tensor_goes_to_the_kernels(monkeypatch):
    tensor = SimpleNamespace(device=torch.device("cuda"), detach=lambda: "on the device")
    monkeypatch.setattr(dispatch_module, "_is_tensor", lambda value: True)
    monkeypatch.setattr(torch, "as_tensor", lambda value, device: value)
    assert dispatch_module.dispatch(None, tensor, cuda=lambda value: value) == "on the device"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("count", [0, 1, 10, 65, 10_000, 100_000, 300_000])
def test_kernels_on_a_gpu_equal_the_cpu(count):
    rng = np.random.default_rng(count)
    boxes = np.concatenate([rng.uniform(0, 320, (count, 3)), rng.uniform(5, 50, (count, 3))], 1)
    boxes, scores = boxes.astype(np.float32), rng.integers(0, 1000, count) / 1000
    there, scores_there = torch.from_numpy(boxes).cuda(), torch.from_numpy(scores).cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        kept = nms(there, scores_there, 0.1)
        matrix = iou_matrix(there[:500], there)
    torch.cuda.synchronize()
    assert kept.device == there.device
    np.testing.assert_array_equal(kept.cpu().numpy(), nms(boxes, scores, 0.1))
    np.testing.assert_array_equal(matrix.cpu().numpy(), iou_matrix(boxes[:500], boxes))
