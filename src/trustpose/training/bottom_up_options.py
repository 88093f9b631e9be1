"""The options of recipes for networks that see all people of a photo."""

from dataclasses import dataclass
from typing import Literal

from trustpose.training.values import expect_within

TagFormula = Literal["higherhrnet", "newell"]


@dataclass(frozen=True)
class BottomUpOptions:
    """The outputs of a bottom-up network besides heatmaps, and its views of photos. Only for system "bottom-up";
    "mask-rcnn" has its views, too.

    kinds: "fields", "tags", "centres", "boxed", "composite-fields" or "disks", one or more, each exported as a model of
    its own, the first as the run's. residual: the folder of a pose residual network, which the model of "boxed" shares
    keypoints out with.
    sigma, width: of heatmaps and fields, map pixels. radius: of disks, view pixels; half of PersonLab's, as its photos
    are twice as large. smallest, largest: the range of a photo's longest side in a view, relative to the view's;
    rotation: degrees. longest: that of photos in prediction, pixels. tag_formula: of the tags' losses, see
    `grouping_losses.tag_losses`; "newell", as printed, does not train. tag_coordinates: whether a tag depends on its
    joint's position in the photo, see `networks.bottom_up`; without, tags did not train here either. branch_style: the
    layers of each output's branch, see `networks.bottom_up.branch`.
    """

    kinds: tuple[Literal["fields", "tags", "centres", "boxed", "composite-fields", "disks"], ...] = ("fields",)
    residual: str | None = None
    sigma: float = 2.0
    width: float = 2.0
    radius: float = 16.0
    smallest: float = 0.9
    largest: float = 2.5
    rotation: float = 30.0
    longest: int = 512
    tag_formula: TagFormula = "higherhrnet"
    tag_coordinates: bool = True
    branch_style: Literal["separable", "convolution"] = "separable"

    def __post_init__(self) -> None:
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds: expected different ones, one or more, got {self.kinds}")
        if {"centres", "boxed"} <= set(self.kinds):
            raise ValueError("kinds: expected centres or boxed, as both have boxes, got both")
        expect_within(self, sigma=(0.1, 64), width=(0.1, 64), radius=(1, 1024))
        expect_within(self, smallest=(0.1, 10), largest=(self.smallest, 10))
        expect_within(self, rotation=(0, 180), longest=(32, 8192))
