"""The papers' training strategies as data: loss weights, epochs, and what is frozen."""

from dataclasses import dataclass, replace
from typing import Literal

from trustpose.files import InputError

MAX_EPOCHS = 1_000_000


@dataclass(frozen=True)
class Stage:
    """Several epochs with one loss, heatmap_weight × L_heatmap + trust_weight × L_trust.

    trains: "all", or "head" if the network is frozen (with its batch norm statistics). detach: whether the head's
    gradient stops before the network (`TrustHead.detach`) though both are trained; in the papers it never does. part:
    of a network in parts (DeepPose's stages, Tompson's coarse and fine part) the only one that is trained, from 0; None
    for all.
    """

    epochs: int
    heatmap_weight: float
    trust_weight: float
    trains: Literal["all", "head"] = "all"
    detach: bool = False
    part: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= MAX_EPOCHS:
            raise ValueError(f"epochs: expected 1 to {MAX_EPOCHS}, got {self.epochs}")
        if self.part is not None and not 0 <= self.part <= 99:
            raise ValueError(f"part: expected 0 to 99, got {self.part}")
        for name in ("heatmap_weight", "trust_weight"):
            if not 0 <= getattr(self, name) <= 1e9:
                raise ValueError(f"{name}: expected 0 to 1e9, got {getattr(self, name)}")


@dataclass(frozen=True)
class Strategy:
    """Stages in order. The learning rate is divided by 10 after each epoch in `drops`, counted over all stages.

    starts_from: "scratch", "imagenet" (the backbone only), or "trained", a trained pose network.
    """

    stages: tuple[Stage, ...]
    learning_rate: float
    drops: tuple[int, ...]
    starts_from: Literal["scratch", "imagenet", "trained"]

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("stages: expected one or more")
        if not 0 < self.learning_rate <= 1000:
            raise ValueError(f"learning_rate: expected above 0, up to 1000, got {self.learning_rate}")
        if any(drop < 0 for drop in self.drops):
            raise ValueError(f"drops: expected epochs from 0, got {', '.join(map(str, self.drops))}")

    @property
    def epochs(self) -> int:
        """The number of epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """Return the stage of epoch `epoch`, counted from 0. Raises ValueError if there is none."""
        last = 0
        for stage in self.stages:
            last += stage.epochs
            if 0 <= epoch < last:
                return stage
        raise ValueError(f"epoch: expected 0 to {self.epochs - 1}, got {epoch}")

    def scaled(self, epochs: int) -> "Strategy":
        """Return the strategy with stages and drops scaled to `epochs`; every stage keeps at least one. Raises
        InputError if they are too few."""
        stages, total = self.stages, self.epochs
        if epochs < len(stages):
            raise InputError(f"train.epochs: expected {len(stages)} or more, one per stage, got {epochs}")
        ends, done = [], 0
        for number, stage in enumerate(stages):
            done += stage.epochs
            stages_left = len(stages) - 1 - number
            ends.append(min(max(round(done * epochs / total), (ends[-1] if ends else 0) + 1), epochs - stages_left))
        lengths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        return replace(
            self,
            stages=tuple(replace(stage, epochs=length) for stage, length in zip(stages, lengths, strict=True)),
            drops=tuple(round(drop * epochs / total) for drop in self.drops),
        )


LAMBDA_HEATMAP = 2000.0  # OKS-Net, equation 2
ALPHA = 0.25  # of the metamodel's strategy S1, "chosen empirically"

# OKS-Net, table XI and section IV-A, with the learning rate of SimpleBaseline and HRNet.
OKS_NET: dict[int, Strategy] = {
    1: Strategy((Stage(250, LAMBDA_HEATMAP, 1.0),), 1e-3, (170, 220), "scratch"),
    2: Strategy((Stage(200, LAMBDA_HEATMAP, 0.0), Stage(50, LAMBDA_HEATMAP, 1.0)), 1e-3, (170, 220), "scratch"),
    3: Strategy((Stage(50, LAMBDA_HEATMAP, 1.0),), 1e-4, (20,), "trained"),
}

# From the authors' public fork of mmpose (zhyjiang/mmpose, Apache-2.0). Its heatmap loss has weight 2000 and no factor
# ½, which ours has.
HPCVNET: dict[str, Strategy] = {
    "joint": Strategy((Stage(234, 4000.0, 1.0),), 5e-4, (194, 214), "trained"),
    "head": Strategy((Stage(234, 0.0, 1.0, trains="head"),), 5e-4, (194, 214), "trained"),
}


def _alphas(trains_all: bool) -> tuple[Stage, ...]:
    """Return 80 more epochs, α = 0, 0.1, 0.2, 0.3 for 20 each."""
    return tuple(Stage(20, 1 - alpha, alpha, "all" if trains_all else "head") for alpha in (0.0, 0.1, 0.2, 0.3))


# The metamodel, section 4.3. S2 and S3 start from the whole network, trained for 140 epochs on heatmaps only. In S3
# α only scales the head's gradient, and in its first 20 epochs nothing is learnt, as the text states.
METAMODEL: dict[str, Strategy] = {
    "S1": Strategy((Stage(140, 1 - ALPHA, ALPHA),), 1e-3, (90, 120), "imagenet"),
    "S2": Strategy((Stage(140, 1.0, 0.0), *_alphas(trains_all=True)), 1e-3, (90, 120), "imagenet"),
    "S3": Strategy((Stage(140, 1.0, 0.0), *_alphas(trains_all=False)), 1e-3, (90, 120), "imagenet"),
}
