"""The interface between the training loop and what it trains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from trustpose.heads.stages import Stage


@runtime_checkable
class Samples(Protocol):
    """Samples of one epoch by index: sample i is always the same, whatever the process or the order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@runtime_checkable
class Task(Protocol):
    """One thing to train.

    A batch of the optimiser may come in parts, sequentially or in several processes. For its loss to be that of the
    whole, a term is a sum over the part's samples divided by the whole batch's count: `counts` returns a part's count
    in advance; the loop sums it over parts and processes and passes it to `losses`, whose terms then sum to the means
    over the whole batch.

    model: all parameters, and what is saved. The loop wraps it for devices, precision and processes, so `losses` must
    call its `model` argument, `model(…)`, and that must return tensors, lists or dicts of those.
    """

    model: nn.Module

    def stage(self, stage: Stage) -> None:
        """Prepare for a stage: which parameters require gradients, `detach`, the terms' weights."""
        ...

    def train_mode(self) -> None:
        """Call `model.train()`, except for parts that are frozen in this stage (with their batch norm statistics)."""
        ...

    def samples(self, epoch: int) -> Samples:
        """Return the training samples of an epoch, counted from 0 over all stages; always the same number."""
        ...

    def collate(self, samples: list[Any]) -> Any:
        """Build a batch: tensors, or lists and dicts of those; runs in worker processes."""
        ...

    def counts(self, batch: Any) -> dict[str, Tensor]:
        """Return the counts of a part by names of the task's choice: people, labelled keypoints, sums of weights;
        ()."""
        ...

    def losses(self, model: nn.Module, batch: Any, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return terms by name, weighted by the stage; their sum is minimised. `totals`: `counts` of the whole batch.

        The names are the same for every batch of a stage.
        """
        ...

    def describe(self, batch: Any) -> Mapping[str, Any]:
        """Identify the samples in plain values, image and annotation ids, for the error about a non-finite loss."""
        ...

    def validate(self) -> dict[str, float]:
        """Evaluate `model`; return numbers by the audit's names, {} without validation data.

        Every process calls it; the first one's result is used.
        """
        ...

    def export(self, folder: Path) -> None:
        """Write `model` as the model folder `folder`, which must not exist yet; called in the first process only."""
        ...
