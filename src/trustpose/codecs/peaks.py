"""Peaks of heatmaps: the highest pixel, and HRNet's quarter offset from it."""

import numpy as np
from jaxtyping import Float, Int


def highest_pixels(
    heatmaps: Float[np.ndarray, "B K h w"],
) -> tuple[Int[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Places (B, K, 2) x, y in map pixels and heights (B, K) of the highest pixels, of equals the first row by row."""
    batch, count, height, width = heatmaps.shape
    flat = heatmaps.reshape(batch, count, height * width)
    peak = flat.argmax(axis=2)[..., None]  # (B, K, 1)
    y, x = np.divmod(peak, width)
    return np.concatenate([x, y], axis=2), np.take_along_axis(flat, peak, axis=2)[..., 0]


def argmax_quarter(
    heatmaps: Float[np.ndarray, "B K h w"],
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Places (B, K, 2) x, y in map pixels and heights (B, K) of the highest pixels.

    Each place is moved a quarter pixel along x and along y towards the higher of the two neighbours; not where they are
    equal, and not where the peak is on an edge of the map. No map is dropped, however low or flat.
    Source: Sun et al., HRNet, CVPR 2019, section 3: "a quarter offset in the direction from the highest response to the
    second highest response"; as in its code, along x and y apart.
    """
    height, width = heatmaps.shape[2:]
    place, score = highest_pixels(heatmaps)
    around = patches(heatmaps, place, 1)  # (B, K, 3, 3)
    slope = np.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], axis=-1)
    inside = ((place > 0) & (place < (width - 1, height - 1))).all(axis=-1, keepdims=True)
    return place + 0.25 * np.sign(np.where(inside, slope, 0.0)), score


def patches(
    heatmaps: Float[np.ndarray, "B K h w"], place: Int[np.ndarray, "B K 2"], radius: int
) -> Float[np.ndarray, "B K side side"]:
    """What each map shows within `radius` pixels of `place` x, y, float64; zeros beyond the map."""
    height, width = heatmaps.shape[2:]
    reach = np.arange(-radius, radius + 1)
    x, y = place[..., 0, None] + reach, place[..., 1, None] + reach  # (B, K, side)
    batch, keypoint = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]]
    found = heatmaps[
        batch[..., None, None],
        keypoint[..., None, None],
        y.clip(0, height - 1)[..., :, None],
        x.clip(0, width - 1)[..., None, :],
    ]
    is_in_map = ((y >= 0) & (y < height))[..., :, None] & ((x >= 0) & (x < width))[..., None, :]
    return np.where(is_in_map, found, 0.0).astype(np.float64)
