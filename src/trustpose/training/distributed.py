"""Several processes that train one model; with one alone, everything here leaves things as they are."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def count() -> int:
    """How many processes train together, 1 without any others."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This one's number, from 0."""
    return dist.get_rank() if count() > 1 else 0


def add_up(values: Tensor) -> Tensor:
    """The sum over the processes, the same in each; without gradients."""
    values = values.detach()
    if count() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def gather(values: Tensor) -> Tensor:
    """Equally many rows of every process (P × n, …) in the order of the processes; without gradients."""
    values = values.detach().contiguous()
    if count() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(count())]
    dist.all_gather(parts, values)
    return torch.cat(parts)


def gather_objects(value: T) -> list[T]:
    """One object of every process, in their order."""
    if count() == 1:
        return [value]
    values: list = [None] * count()
    dist.all_gather_object(values, value)
    return values
