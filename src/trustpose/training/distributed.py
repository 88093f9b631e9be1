"""Communication between processes that train one model; without effect for a single process."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def count() -> int:
    """Return the number of processes that train together, 1 for a single one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the index of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def add_up(values: Tensor) -> Tensor:
    """Sum over the processes, with the same result in each; without gradients."""
    values = values.detach()
    if count() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def gather(values: Tensor) -> Tensor:
    """Gather the same number of rows from every process (P × n, …), in process order; without gradients."""
    values = values.detach().contiguous()
    if count() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(count())]
    dist.all_gather(parts, values)
    return torch.cat(parts)


def gather_objects(value: T) -> list[T]:
    """Gather one object from every process, in process order."""
    if count() == 1:
        return [value]
    values: list = [None] * count()
    dist.all_gather_object(values, value)
    return values
