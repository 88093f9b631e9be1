"""Gaussian heatmaps: a bump for each keypoint, read out as the highest pixel plus a quarter towards the higher side.

Pixel convention: map pixel m stands at crop pixel m × stride, both counted at pixel centres (HRNet and SimpleBaseline).
Sources: Xiao et al., Simple Baselines for Human Pose Estimation, ECCV 2018; Sun et al., HRNet, CVPR 2019, section 3:
"a quarter offset in the direction from the highest response to the second highest response", there taken along x and
y apart.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs import Candidates, Outputs

FLIP_SHIFT = 1  # map pixels; see `flip_back`


@dataclass(frozen=True)
class HeatmapCodec:
    """Heatmaps of width × height map pixels, `stride` crop pixels apart, with bumps of `sigma` map pixels.

    decode(encode(xy)) is at most a quarter map pixel off along x and along y, for keypoints whose nearest map pixel is
    not on the map's edge; there it is at most half a map pixel.
    """

    width: int
    height: int
    stride: float
    sigma: float = 2.0

    def encode(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> Float[np.ndarray, "B K h w"]:
        """Targets (B, K, height, width) float32: a Gaussian of height 1 about each keypoint, at its sub-pixel place.

        Keypoints that are not labelled get a map of zeros; NaN among their coordinates is allowed.
        """
        xy_map = xy_crop / self.stride
        if labelled is not None:
            xy_map = np.where(labelled[..., None], xy_map, np.inf)  # a bump infinitely far away: zeros
        across = self._bumps(xy_map[..., 0], self.width)  # (B, K, w)
        down = self._bumps(xy_map[..., 1], self.height)  # (B, K, h)
        return down[..., :, None] * across[..., None, :]

    def decode(self, outputs: Outputs) -> Candidates:
        """The keypoints of the last stage's heatmaps, in crop pixels; `score` is the peak's height, untouched."""
        xy_map, score = argmax_quarter(outputs.heatmaps[-1])
        return Candidates(xy_map * self.stride, score)

    def average_flipped(self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"]) -> Outputs:
        """The mean of a crop's heatmaps and those of its mirror image, brought back (`flip_back`), at every stage."""
        stages = zip(outputs.heatmaps, mirrored.heatmaps, strict=True)
        return Outputs([(own + flip_back(other, flip_index)) / 2 for own, other in stages], outputs.features)

    def _bumps(self, centre: Float[np.ndarray, "B K"], length: int) -> Float[np.ndarray, "B K length"]:
        distance = np.arange(length) - centre[..., None]
        return np.exp(-(distance**2) / (2 * self.sigma**2)).astype(np.float32)


def argmax_quarter(
    heatmaps: Float[np.ndarray, "B K h w"],
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Places (B, K, 2) x, y in map pixels and heights (B, K) of the highest pixels.

    Each place is moved a quarter pixel along x and along y towards the higher of the two neighbours; not where they are
    equal, and not where the peak is on an edge of the map. No map is dropped, however low or flat.
    """
    batch, count, height, width = heatmaps.shape
    flat = heatmaps.reshape(batch * count, height * width)
    peak = flat.argmax(axis=1)  # (B·K,)
    rows = np.arange(batch * count)
    score = flat[rows, peak]
    y, x = np.divmod(peak, width)
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    safe = np.where(inside, peak, min(width + 1, height * width - 1))  # any pixel whose neighbours exist
    offset_x = _towards_higher(flat, rows, safe, 1)
    offset_y = _towards_higher(flat, rows, safe, width)
    offset = 0.25 * np.stack([offset_x, offset_y], axis=1) * inside[:, None]  # (B·K, 2)
    xy = np.stack([x, y], axis=1) + offset
    return xy.reshape(batch, count, 2), score.reshape(batch, count)


def flip_back(
    heatmaps: Float[np.ndarray, "B K h w"], flip_index: Int[np.ndarray, " K"], shift: int = FLIP_SHIFT
) -> Float[np.ndarray, "B K h w"]:
    """Heatmaps (B, K, h, w) of mirrored crops as they would be for the crops themselves.

    Mirrored along x, left and right joints exchanged by `flip_index` (K,), then moved `shift` map pixels to the right:
    with map pixel m at crop pixel m × stride, the mirrored crop's grid falls (stride − 1) crop pixels, nearly one map
    pixel, beside its own (HRNet's SHIFT_HEATMAP). The columns that open on the left keep their values.
    """
    back = heatmaps[:, flip_index, :, ::-1]
    if not shift:
        return np.ascontiguousarray(back)
    return np.concatenate([back[..., :shift], back[..., :-shift]], axis=3)


def _towards_higher(flat: np.ndarray, rows: np.ndarray, place: np.ndarray, step: int) -> np.ndarray:
    """−1, 0 or 1: the side of the higher neighbour."""
    low, high = np.maximum(place - step, 0), np.minimum(place + step, flat.shape[1] - 1)
    left, right = flat[rows, low], flat[rows, high]
    return np.subtract(right > left, left > right, dtype=np.int8)
