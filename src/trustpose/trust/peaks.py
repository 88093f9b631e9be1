"""What is read of heatmaps, and of other maps, at and around each keypoint's highest pixel. No parameters.

Written for few and cheap operators: lookups instead of interpolation, tables instead of arithmetic.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

REACH = 3  # map pixels around a peak that are read, on each side
CELL = 4  # map pixels on a side of the cells in which the highest place elsewhere is looked for
NUMBERS = 10
_NEVER = -10.0  # added to cells that are not to be found; no network's peaks are as high


def peaks(
    heatmaps: Float[Tensor, "B K h w"],
) -> tuple[Int[Tensor, "B K 1"], Int[Tensor, "B K 1"], Float[Tensor, "B K 1"]]:
    """Column and row of each map's highest pixel, the first of equals, and how high it is."""
    keypoints, _, width = sizes(heatmaps)
    y = heatmaps.amax(dim=3).argmax(dim=2, keepdim=True)  # (B, K, 1)
    columns = torch.zeros(1, 1, 1, width, dtype=torch.long, device=heatmaps.device)
    row = heatmaps.gather(2, y[..., None] + columns).reshape(-1, keypoints, width)
    return row.argmax(dim=2, keepdim=True), y, row.amax(dim=2, keepdim=True)


def at_peaks(
    features: Float[Tensor, "B C h w"], x: Int[Tensor, "B K 1"], y: Int[Tensor, "B K 1"], size: Sequence[int]
) -> Float[Tensor, "B K C"]:
    """The pixel of another map where the peak is, whose place is counted in heatmaps of `size` (rows, columns).

    Of the heatmaps themselves: row k is what all maps say at keypoint k's peak.
    """
    channels, rows, columns = sizes(features)
    down = (torch.arange(size[0], device=x.device) * 2 + 1) * rows // (2 * size[0]) * columns
    right = (torch.arange(size[1], device=x.device) * 2 + 1) * columns // (2 * size[1])
    at = (down[y] + right[x]).transpose(1, 2)  # (B, 1, K)
    every = torch.zeros(1, channels, 1, dtype=torch.long, device=features.device)
    return features.reshape(-1, channels, rows * columns).gather(2, at + every).transpose(1, 2)


def around(
    heatmaps: Float[Tensor, "B K h w"], x: Int[Tensor, "B K 1"], y: Int[Tensor, "B K 1"]
) -> Float[Tensor, "B K P"]:
    """Each map's pixels around its own peak, row by row; at the rim the window stays within the map.

    Raises ValueError where the maps are smaller than the window.
    """
    keypoints, rows, columns = sizes(heatmaps)
    length = 2 * REACH + 1
    if min(rows, columns) < length:
        raise ValueError(f"heatmaps: expected {length} × {length} pixels or more, got {rows} × {columns}")
    side = torch.arange(length, device=x.device)
    window = (side[:, None] * columns + side).reshape(-1)  # (P,), from its first pixel
    at = (y - REACH).clamp(0, rows - length) * columns + (x - REACH).clamp(0, columns - length) + window
    return heatmaps.reshape(-1, keypoints, rows * columns).gather(2, at)


def numbers(
    heatmaps: Float[Tensor, "B K h w"],
    x: Int[Tensor, "B K 1"],
    y: Int[Tensor, "B K 1"],
    height: Float[Tensor, "B K 1"],
) -> Float[Tensor, "B K 10"]:
    """Ten numbers about each map; places in shares of the map's columns and rows.

    x, y and height of the peak; x, y and height of the highest cell elsewhere: of 4 × 4 map pixels, and not the peak's
    or one beside it (10 less where a map is so small that it has no other); the map's sum, its first moments and its
    second, all divided by its rows.
    """
    keypoints, rows, columns = sizes(heatmaps)
    like = {"dtype": heatmaps.dtype, "device": heatmaps.device}
    right, down = (torch.arange(columns, **like) + 0.5) / columns, (torch.arange(rows, **like) + 0.5) / rows
    every_x, every_y = right.repeat(rows), down.repeat_interleave(columns)
    table = torch.stack([torch.ones_like(every_x), every_x, every_y, every_x**2 + every_y**2], dim=1)
    moments = heatmaps.reshape(-1, keypoints, rows * columns) @ (table / rows)  # (B, K, 4)
    highest = F.max_pool2d(heatmaps, CELL, ceil_mode=True)
    _, r, c = sizes(highest)
    cell_x, cell_y = torch.arange(c, device=x.device).repeat(r), torch.arange(r, device=x.device).repeat_interleave(c)
    apart = torch.maximum((cell_x - cell_x[:, None]).abs(), (cell_y - cell_y[:, None]).abs())  # (r·c, r·c)
    penalty = torch.where(apart < 2, _NEVER, 0.0).to(**like)
    cell_down, cell_right = (torch.arange(length, device=x.device) // CELL for length in (rows, columns))
    cell = (cell_down * c)[y] + cell_right[x]  # (B, K, 1)
    elsewhere = highest.reshape(-1, keypoints, r * c) + penalty[cell].reshape(-1, keypoints, r * c)
    second, at = elsewhere.max(dim=2, keepdim=True)
    second_x, second_y = ((cell_x.to(**like) + 0.5) * CELL / columns)[at], ((cell_y.to(**like) + 0.5) * CELL / rows)[at]
    return torch.cat([right[x], down[y], height, second_x, second_y, second, moments], dim=2)


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """All sizes but the batch's, as numbers in a graph that is traced too."""
    return tuple(int(size) for size in tensor.shape[1:])
