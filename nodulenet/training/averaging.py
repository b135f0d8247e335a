"""What the processes of a training tell each other in every step.

Gradients are summed by hand and not by DistributedDataParallel: a stage trains some of the
branches, a micro-batch may have no crop to segment and a process no micro-batch at all, so which
parameters have a gradient is known only after the step. They are sent after the backward pass
and not during it: the published network has 17 million parameters, 69 MB a step of 16 crops.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nodulenet.training.distributed import Rank


def statistics_of(net: nn.Module) -> Tensor:
    """Running means and variances of all batch normalisations, as one vector."""
    return torch.cat([buffer.flatten() for buffer in floating(net)])


def set_statistics(net: nn.Module, values: Tensor) -> None:
    """Put running means and variances back."""
    buffers = floating(net)
    for buffer, part in zip(buffers, values.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(part.view_as(buffer))


def floating(net: nn.Module) -> list[Tensor]:
    """The buffers of a network that are not counters."""
    return [buffer for buffer in net.buffers() if buffer.is_floating_point()]


def sum_over_ranks(
    net: nn.Module, statistics: Tensor, terms: Sequence[float], rank: Rank
) -> tuple[Tensor, list[float]]:
    """Sum gradients, statistics and loss terms over the processes.

    A parameter has a gradient afterwards if it had one in any process, as if one process had
    done it all: one without is not touched by weight decay or momentum either.
    """
    if rank.size == 1:
        return statistics, list(terms)
    parameters = list(net.parameters())
    has = [float(p.grad is not None) for p in parameters]
    head = torch.tensor([*has, *terms], dtype=torch.float64, device=statistics.device)
    torch.distributed.all_reduce(head)
    told = head.tolist()
    used = [p for p, count in zip(parameters, told[: len(has)], strict=True) if count]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
    total = torch.cat([*(grad.flatten() for grad in grads), statistics])
    torch.distributed.all_reduce(total)
    *parts, statistics = total.split([*(p.numel() for p in used), len(statistics)])
    for p, part in zip(used, parts, strict=True):
        p.grad = torch.empty_like(p).copy_(part.view(p.shape))
    return statistics, told[len(has) :]


def longest(seconds: float, rank: Rank, device: torch.device) -> float:
    """The largest value of all processes."""
    if rank.size == 1:
        return seconds
    value = torch.tensor(seconds, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(value, torch.distributed.ReduceOp.MAX)
    return float(value)
