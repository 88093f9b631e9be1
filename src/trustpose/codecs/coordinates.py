"""Coordinates that a network prints itself: x, y and a score for each keypoint, put in our order and in crop pixels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from trustpose.codecs import Candidates, Outputs


@dataclass(frozen=True)
class CoordinateCodec:
    """Numbers (B, K, 3) in `order`, of crops of width × height pixels.

    With `normalised`, 0 is the centre of the crop's first pixel and 1 is `width` (or `height`) pixels further on, as
    the box's corners in `geometry.crops`; else they are crop pixels already.
    """

    width: int
    height: int
    order: tuple[str, str, str] = ("x", "y", "score")
    normalised: bool = True

    def decode(self, outputs: Outputs) -> Candidates:
        """The keypoints in crop pixels with the network's own scores. Raises ValueError where there are none."""
        if outputs.coordinates is None:
            raise ValueError("outputs.coordinates: expected (B, K, 3), got None")
        x, y, score = (outputs.coordinates[..., self.order.index(name)] for name in ("x", "y", "score"))
        xy = np.stack([x, y], axis=-1).astype(np.float64)  # (B, K, 2)
        return Candidates(xy * (self.width, self.height) if self.normalised else xy, score)

    def average_flipped(self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"]) -> Outputs:
        """The mean of a crop's coordinates and scores and those of its mirror image, brought back."""
        if outputs.coordinates is None or mirrored.coordinates is None:
            raise ValueError("outputs.coordinates: expected (B, K, 3), got None")
        back = mirrored.coordinates[:, flip_index].copy()
        last = (self.width - 1) / self.width if self.normalised else self.width - 1.0  # the last pixel's centre
        x = self.order.index("x")
        back[..., x] = last - back[..., x]
        return Outputs(heatmaps=[], coordinates=(outputs.coordinates + back) / 2)
