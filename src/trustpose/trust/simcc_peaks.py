"""Read a SimCC network's outputs at and around each keypoint's highest bins, without parameters.

The counterpart of `peaks` for networks with logits over columns and rows, and a token per keypoint, instead of maps.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trustpose.trust.peaks import at_cells, nearest, sizes, table

OFFSETS = (-12, -8, -4, 0, 4, 8, 12)  # bins read relative to the highest one: about two sigmas of the labels
READ = 2 * (len(OFFSETS) + 1)
"""Numbers read per keypoint besides the tokens and the feature map's channels."""


def read_simcc(
    features: Float[Tensor, "B r c C"],
    columns: Float[Tensor, "B K X"],
    rows: Float[Tensor, "B K Y"],
    tokens: Float[Tensor, "B K D"],
    xy: Float[Tensor, "B K 2"] | None = None,
) -> tuple[Float[Tensor, "B K T"], Float[Tensor, "B K 2"]]:
    """Return for each keypoint: the feature map's cell, channels last, that contains it; its token; logits around both
    peaks minus the peaks; and the peaks. T = C + D + `READ`. Then the centres of its bins as fractions of the crop's
    width and height.

    A window that leaves the crop repeats its last bin. `xy`, in bins: positions to use instead of the peaks, except for
    NaN.
    """
    parts, positions = [tokens], []
    for axis, logits in enumerate((columns, rows)):
        _, bins = sizes(logits)
        height, position = logits.max(dim=2, keepdim=True)  # (B, K, 1)
        if xy is not None:
            given_position = nearest(xy[..., axis], bins)[..., None]
            position = torch.where(xy.isnan().any(dim=2, keepdim=True), position, given_position)
            height = logits.gather(2, position)
        bins_read = (position + table(np.array(OFFSETS), position)).clamp(0, bins - 1)  # (B, K, offsets)
        parts += [logits.gather(2, bins_read) - height, height]
        positions.append((position[..., 0], bins))
    (column, wide), (row, high) = positions
    share = torch.stack([(column + 0.5) / wide, (row + 0.5) / high], dim=2)
    return torch.cat([at_cells(features, row, column, (high, wide)), *parts], dim=2), share
