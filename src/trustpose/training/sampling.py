"""Values of maps between their cells, through which gradients reach both the maps and the positions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sample_maps(
    maps: Float[Tensor, "M C h w"], row: Int[Tensor, " P"], cells: Float[Tensor, "P 2"]
) -> Float[Tensor, "P C"]:
    """Return the maps at positions, interpolated bilinearly; beyond the first and the last cell they are constant.

    Args:
        maps: several sets of C maps.
        row: the set that each position is read in.
        cells: positions x, y in cells; 0 is the middle of the first.
    """
    last = cells.new_tensor([maps.shape[3] - 1, maps.shape[2] - 1])
    inside = cells.clamp(min=0).minimum(last)
    low = inside.detach().floor().long()
    high = (low + 1).minimum(last.long())
    across, down = (inside - low)[..., None].unbind(dim=1)  # (P, 1)
    (x0, y0), (x1, y1) = low.unbind(dim=1), high.unbind(dim=1)
    above = torch.lerp(maps[row, :, y0, x0], maps[row, :, y0, x1], across)
    below = torch.lerp(maps[row, :, y1, x0], maps[row, :, y1, x1], across)
    return torch.lerp(above, below, down)
