"""The heads that `frozen_task` trains at once: one, and for a cross-fit copies of it that never see a fold."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from trustpose.training.losses import plain
from trustpose.trust.heads import TrustHead

_MIN_BATCH = 2  # samples that batch norm needs


class Learner(nn.Module):
    """A head on pooled maps; with `folds`, also a copy for each fold, which learns from the people of the others.

    A call returns plain dicts and tensors.
    """

    def __init__(self, head: TrustHead, folds: int = 0):
        super().__init__()
        self.head = head
        self.without = nn.ModuleList(copy.deepcopy(head) for _ in range(folds))

    @property
    def heads(self) -> list[TrustHead]:
        """The head, then its copies by fold."""
        return [self.head, *self.without]  # type: ignore a ModuleList's items are of any kind

    def forward(self, *pooled: Tensor, fold: Int[Tensor, " B"]) -> list[Any]:
        """Return for each of `learning` the input of its losses, a dataclass as a dict of its fields."""
        return [
            plain(self.heads[number].logits(tuple(part[rows] for part in pooled)))
            for number, rows in self.learning(fold)
        ]

    def learning(self, fold: Int[Tensor, " B"]) -> list[tuple[int, Bool[Tensor, " B"]]]:
        """Return the number of each head that learns from a batch, and from which rows, given each row's fold: the
        first from all, the others from the other folds', if they are enough for batch norm."""
        rows = [torch.ones_like(fold, dtype=torch.bool), *(fold != number for number in range(len(self.without)))]
        return [(number, is_used) for number, is_used in enumerate(rows) if number == 0 or is_used.sum() >= _MIN_BATCH]

    def unseen(
        self, rows: Int[np.ndarray, " N"], fold: Int[np.ndarray, " N"]
    ) -> Iterator[tuple[TrustHead, Int[np.ndarray, " M"]]]:
        """Yield each head with the indices into `rows` of people that it has not learnt from, by their folds: all of
        them for a single head."""
        if not len(self.without):
            yield self.head, np.arange(len(rows))
        for number, head in enumerate(self.heads[1:]):
            if len(positions := np.flatnonzero(fold == number)):
                yield head, positions
