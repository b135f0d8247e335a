"""The CUDA kernels: in Numba's simulator in every run, on a GPU where there is one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nodulenet.boxes import iou_matrix, nms

ROOT = Path(__file__).parents[2]


def test_kernels_in_the_simulator_equal_the_cpu():
    script = Path(__file__).with_name("cuda_simulator.py")
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "as the CPU"


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["75", "80", "90", "100"])
def test_kernels_compile_without_spills_and_round_as_the_cpu(capability):
    """7.5 is the oldest that CUDA 13 knows."""
    pytest.importorskip("nvidia", reason="NVVM and ptxas are not installed (the extra `gpu`)")
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, script, capability], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert len(done.stdout.splitlines()) > 5
    assert all("spill_stores=0 spill_loads=0" in line for line in done.stdout.splitlines())


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
