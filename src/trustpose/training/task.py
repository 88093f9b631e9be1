"""What the loop asks of the thing that it trains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from trustpose.trust.stages import Stage


@runtime_checkable
class Samples(Protocol):
    """Samples by number, of one epoch: sample i is the same whenever, wherever and in whatever order it is made."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@runtime_checkable
class Task(Protocol):
    """One thing to train, whatever it is made of.

    A batch of the optimiser may come in parts, one after another or in several processes. For its loss to be that of
    the whole, a term is a sum over the part's samples divided by the whole batch's count: `counts` says how much a part
    counts, before anything is computed; the loop adds that up over parts and processes and hands it to `losses`, whose
    terms then add up to the means over the whole batch.

    model: all parameters, and what is saved. The loop calls it in its wrapping for devices, precision and processes,
    so `losses` must call its `model` argument, `model(…)`, and that must return tensors, lists or dicts of those.
    """

    model: nn.Module

    def stage(self, stage: Stage) -> None:
        """Prepare for a stage: which parameters require gradients, `detach`, the terms' weights."""
        ...

    def train_mode(self) -> None:
        """`model.train()`, but for what is frozen in this stage (its batch norm statistics too)."""
        ...

    def samples(self, epoch: int) -> Samples:
        """The training samples of an epoch, counted from 0 over all stages; always as many."""
        ...

    def collate(self, samples: list[Any]) -> Any:
        """A batch: tensors, or lists and dicts of those; runs in worker processes."""
        ...

    def counts(self, batch: Any) -> dict[str, Tensor]:
        """How much a part counts, by a name of the task's choice: people, labelled keypoints, sums of weights; ()."""
        ...

    def losses(self, model: nn.Module, batch: Any, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Terms by name, weighed by the stage; their sum is minimised. `totals`: `counts` of the whole batch, added up.

        The names are the same for every batch of a stage.
        """
        ...

    def describe(self, batch: Any) -> Mapping[str, Any]:
        """Which samples these are, in plain values: image and annotation ids. For the error about a non-finite loss."""
        ...

    def validate(self) -> dict[str, float]:
        """Numbers by name of `model` in evaluation, by the audit's names; {} where there is nothing to validate on.

        Every process calls it; the first one's answer counts.
        """
        ...

    def export(self, folder: Path) -> None:
        """Write `model` as the model folder `folder`, which must not exist yet; called in the first process only."""
        ...
