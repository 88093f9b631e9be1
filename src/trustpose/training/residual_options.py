"""The options of recipes for the pose residual network."""

from dataclasses import dataclass

from trustpose.training.values import expect_within


@dataclass(frozen=True)
class ResidualOptions:
    """The pose residual network, and which boxes it learns from. Only for system "residual".

    hidden: units of each hidden layer. contested: only boxes with a keypoint of somebody else in them or in their
    margin (57 % of train2017's); False: all, as in the authors' code. In the other boxes every keypoint belongs to the
    box's person.
    """

    hidden: int = 1024
    contested: bool = False

    def __post_init__(self) -> None:
        expect_within(self, hidden=(1, 65536))
