"""An exponential moving average of a model's weights and batch norm statistics, for validation and export."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Ema:
    """average ← average + (1 − d) (weights − average) after each step, d = min(decay, (1 + n) / (10 + n)) at step n.

    The lower decay of the first steps (as in TensorFlow's ExponentialMovingAverage with num_updates) removes the random
    initialisation. Values that training does not change stay bit-identical in the average. Integers (batch norm's
    counter) are copied. decay 0: no average, the weights themselves.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()} if decay else {}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the weights of one step."""
        if not self.decay:
            return
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        state = model.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        follow = get_ema_multi_avg_fn(decay)  # all tensors in one call
        follow([self.average[name] for name in moving], [state[name] for name in moving], self.updates)
        for name in state.keys() - set(moving):
            self.average[name].copy_(state[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Use the average's weights inside the block and the model's own after it."""
        if not self.decay:
            yield
            return
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.average)
        try:
            yield
        finally:
            model.load_state_dict(weights)

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """Return the state for a checkpoint."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: Mapping) -> None:
        """Restore the state from a checkpoint. Raises ValueError if it is from another model."""
        shapes = {name: value.shape for name, value in state["average"].items()}
        if shapes != {name: value.shape for name, value in self.average.items()}:
            raise ValueError("ema: its tensors are from another model")
        self.updates = state["updates"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)
