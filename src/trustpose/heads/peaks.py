"""Read heatmaps and another map at and around each keypoint's highest pixel, without parameters.

Written with few operators, since each costs a runtime some microseconds however little it does, which matters for a
network of a few milliseconds: a peak is one number, its pixel index in row order, by which everything else is looked up
in tables. Where ONNX has one operator and torch needs several, the graph gets the one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

REACH = 3  # map pixels read on each side of a peak


def peaks(heatmaps: Float[Tensor, "B K h w"]) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K 1"]]:
    """Return each map's highest pixel as an index in row order, in ties the first, and its height.

    Finding the row first, then the column in it, is faster than searching all pixels at once.
    """
    keypoints, _, columns = sizes(heatmaps)
    row = heatmaps.amax(dim=3).argmax(dim=2, keepdim=True)  # (B, K, 1)
    if torch.onnx.is_in_onnx_export():
        height, column = _Highest.apply(_Row.apply(heatmaps, row))
    else:
        height, column = _row(heatmaps, row).max(dim=2, keepdim=True)
    return (row * columns + column).reshape(-1, keypoints), height


def pixels_at(
    heatmaps: Float[Tensor, "B K h w"], xy: Float[Tensor, "B K 2"]
) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K 1"]]:
    """Return the pixel nearest to each position, map coordinates, as an index like `peaks`; and the map's height there.

    Positions beyond the map are clipped to it, and NaN means the map's own peak.
    """
    keypoints, rows, columns = sizes(heatmaps)
    own_peak, _ = peaks(heatmaps)
    column, row = (nearest(xy[..., axis], length) for axis, length in enumerate((columns, rows)))
    peak = torch.where(xy.isnan().any(dim=2), own_peak, row * columns + column)
    return peak, heatmaps.reshape(-1, keypoints, rows * columns).gather(2, peak[..., None])


def nearest(position: Float[Tensor, "B K"], length: int) -> Int[Tensor, "B K"]:
    """Return the integer from 0 to length − 1 nearest to each position; 0 for NaN."""
    return position.nan_to_num().clamp(0, length - 1).round().long()


def at_peaks(
    features: Float[Tensor, "B r c C"], peak: Int[Tensor, "B K"], size: Sequence[int]
) -> Float[Tensor, "B K C"]:
    """Return the pixel of another map, channels last, at the peak, an index in heatmaps of `size` (rows, columns)."""
    rows, columns, _ = sizes(features)
    down = ((np.arange(size[0]) * 2 + 1) * rows // (2 * size[0])).repeat(size[1])
    right = np.tile((np.arange(size[1]) * 2 + 1) * columns // (2 * size[1]), size[0])
    cell = table(np.stack([down, right], axis=1), peak)[peak]  # (B, K, 2)
    return _Pixels.apply(features, cell) if torch.onnx.is_in_onnx_export() else _pixels(features, cell)


def shares(peak: Int[Tensor, "B K"], size: Sequence[int]) -> Float[Tensor, "B K 2"]:
    """Return the centres of pixels, indices in maps of `size` (rows, columns), as fractions of width and height."""
    rows, columns = size
    row, column = np.divmod(np.arange(rows * columns), columns)
    return table(np.stack([(column + 0.5) / columns, (row + 0.5) / rows], axis=1).astype(np.float32), peak)[peak]


def at_cells(
    features: Float[Tensor, "B r c C"], row: Int[Tensor, "B K"], column: Int[Tensor, "B K"], size: Sequence[int]
) -> Float[Tensor, "B K C"]:
    """Return the pixel of a map, channels last, that contains a position, by row and column among `size`."""
    rows, columns, _ = sizes(features)
    down, right = (
        table((np.arange(many) * 2 + 1) * few // (2 * many), position)[position]
        for many, few, position in zip(size, (rows, columns), (row, column), strict=True)
    )
    cell = torch.stack([down, right], dim=2)  # (B, K, 2)
    return _Pixels.apply(features, cell) if torch.onnx.is_in_onnx_export() else _pixels(features, cell)


def around(heatmaps: Float[Tensor, "B K h w"], peak: Int[Tensor, "B K"]) -> Float[Tensor, "B K P"]:
    """Return each map's pixels around its own peak, in row order; at the border the window stays within the map.

    Raises ValueError if the maps are smaller than the window.
    """
    keypoints, rows, columns = sizes(heatmaps)
    length = 2 * REACH + 1
    if min(rows, columns) < length:
        raise ValueError(f"heatmaps: expected {length} × {length} pixels or more, got {rows} × {columns}")
    first_row, first_column = ((np.arange(size) - REACH).clip(0, size - length) for size in (rows, columns))
    first = (first_row[:, None] * columns + first_column).reshape(
        -1, 1
    )  # the window's first pixel, for a peak at each pixel
    window = (np.arange(length)[:, None] * columns + np.arange(length)).ravel()
    pixels = table(first, peak)[peak] + table(window, peak)  # (B, K, P)
    return heatmaps.reshape(-1, keypoints, rows * columns).gather(2, pixels)


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """Return all sizes but the batch's, as numbers even in a traced graph."""
    return tuple(int(size) for size in tensor.shape[1:])


def table(values: np.ndarray, like: Tensor) -> Tensor:
    """Return a constant of the graph, on the device of `like`."""
    return torch.from_numpy(values).to(like.device)


def _row(heatmaps: Float[Tensor, "B K h w"], row: Int[Tensor, "B K 1"]) -> Float[Tensor, "B K w"]:
    """Return one row of each map."""
    return heatmaps.gather(2, row[..., None].expand(-1, -1, -1, heatmaps.shape[3]))[:, :, 0]


def _pixels(maps: Float[Tensor, "B r c C"], cell: Int[Tensor, "B K 2"]) -> Float[Tensor, "B K C"]:
    """Return pixels by row and column."""
    return maps[torch.arange(len(maps), device=maps.device)[:, None], cell[..., 0], cell[..., 1]]


class _Highest(torch.autograd.Function):
    """The maximum along the last dimension and its index, in ties the first, as one operator of ONNX."""

    forward = staticmethod(lambda _, row: tuple(row.max(dim=2, keepdim=True)))

    @staticmethod
    def symbolic(graph: Any, row: Any) -> Any:
        return graph.op("TopK", row, graph.op("Constant", value_t=torch.tensor([1])), axis_i=2, outputs=2)


class _Row(torch.autograd.Function):
    """`_row` as one operator of ONNX."""

    forward = staticmethod(lambda _, heatmaps, row: _row(heatmaps, row))

    @staticmethod
    def symbolic(graph: Any, heatmaps: Any, row: Any) -> Any:
        return graph.op("GatherND", heatmaps, row, batch_dims_i=2)


class _Pixels(torch.autograd.Function):
    """`_pixels` as one operator of ONNX."""

    forward = staticmethod(lambda _, maps, cell: _pixels(maps, cell))

    @staticmethod
    def symbolic(graph: Any, maps: Any, cell: Any) -> Any:
        return graph.op("GatherND", maps, cell, batch_dims_i=1)
