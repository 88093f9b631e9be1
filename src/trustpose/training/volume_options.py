"""The options of recipes for keypoints with their depths (integral regression on Human3.6M)."""

from dataclasses import dataclass
from typing import Literal

from trustpose.training.values import expect_within


@dataclass(frozen=True)
class VolumeOptions:
    """The volumes, and the people of Human3.6M. Only for system "volumes".

    depth: voxels along it; the paper's code has 64. extent: metres that a volume spans in depth, and its crop at the
    root joint's depth; the paper's code has 2. protocol: of `datasets.human36m.PROTOCOLS`. train_every: of the training
    subjects' frames, every so-manieth; 5 is 3DMPPE's.
    """

    depth: int = 64
    extent: float = 2.0
    protocol: Literal["1", "2"] = "2"
    train_every: int = 5

    def __post_init__(self) -> None:
        expect_within(self, depth=(2, 1024), extent=(0.1, 100), train_every=(1, 100_000))
