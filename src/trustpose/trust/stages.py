"""The papers' training strategies as data: what is weighed how, for how long, and what stands still."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """Some epochs under one loss, heatmap_weight × L_heatmap + trust_weight × L_trust.

    trains: "all", or "head" where the network stands still (its batch norm statistics too). detach: whether the head's
    gradient stops before the network (`TrustHead.detach`) though both train; in the papers it never does.
    """

    epochs: int
    heatmap_weight: float
    trust_weight: float
    trains: Literal["all", "head"] = "all"
    detach: bool = False


@dataclass(frozen=True)
class Strategy:
    """Stages in order. The learning rate is divided by 10 after each epoch in `drops`, counted over all stages.

    starts_from: "scratch", "imagenet" (the backbone only), or "trained", a network that already finds keypoints.
    """

    stages: tuple[Stage, ...]
    learning_rate: float
    drops: tuple[int, ...]
    starts_from: Literal["scratch", "imagenet", "trained"]

    @property
    def epochs(self) -> int:
        """All stages' together."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """The stage that epoch `epoch`, counted from 0, belongs to. Raises ValueError where there is none."""
        last = 0
        for stage in self.stages:
            last += stage.epochs
            if 0 <= epoch < last:
                return stage
        raise ValueError(f"epoch: expected 0 to {self.epochs - 1}, got {epoch}")
