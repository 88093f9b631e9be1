"""Peaks of heatmaps: the highest pixel, and the quarter offsets from it, HRNet's and MSPN's."""

import cv2
import numpy as np
from jaxtyping import Float, Int

_MARGIN = 10  # map pixels of zeros that MSPN's code puts around a map before it smooths it


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
    heatmaps: Float[np.ndarray, "B K h w"], smoothing: int | None = None
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Places (B, K, 2) x, y in map pixels and heights (B, K) of the highest pixels.

    Each place is moved a quarter pixel along x and along y towards the higher of the two neighbours; not where they are
    equal, and not where the peak is on an edge of the map. No map is dropped, however low or flat.
    With `smoothing`, an odd number of taps, places are those of the smoothed map; heights stay the map's own.
    Source: Sun et al., HRNet, CVPR 2019, section 3: "a quarter offset in the direction from the highest response to the
    second highest response"; as in its code, along x and y apart. Smoothed, as mmpose reads MSPN's maps.
    """
    height, width = heatmaps.shape[2:]
    place, score = highest_pixels(heatmaps)
    if smoothing is not None:
        heatmaps = smoothed(heatmaps, smoothing, 0)
        place, _ = highest_pixels(heatmaps)
    around = patches(heatmaps, place, 1)  # (B, K, 3, 3)
    slope = np.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], axis=-1)
    inside = ((place > 0) & (place < (width - 1, height - 1))).all(axis=-1, keepdims=True)
    return place + 0.25 * np.sign(np.where(inside, slope, 0.0)), score


def towards_second_highest(
    heatmaps: Float[np.ndarray, "B K h w"], smoothing: int | None = None
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Places (B, K, 2) x, y in map pixels and the maps' heights (B, K) there, at the nearest pixel.

    Each place is the highest pixel, moved a quarter pixel straight towards the second highest, wherever that is. Of
    equals, the first row by row is the higher one. With `smoothing`, an odd number of taps, both are sought in the
    smoothed map.
    Source: Li et al., Rethinking on Multi-Stage Networks for Human Pose Estimation, 2019; as in its code, where the map
    lies in a frame of zeros, the highest pixel counts 0 when the second is sought, and places end at the map's edge.
    """
    height, width = heatmaps.shape[2:]
    framed = smoothed(heatmaps.astype(np.float64), smoothing or 1, _MARGIN)
    first, _ = highest_pixels(framed)
    batch, keypoint = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]]
    framed[batch, keypoint, first[..., 1], first[..., 0]] = 0
    step = (highest_pixels(framed)[0] - first).astype(np.float64)
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    place = first - _MARGIN + 0.25 * step / np.maximum(length, 1)  # neighbours are at least a pixel apart
    place = place.clip(0, (width - 1, height - 1))
    x, y = np.moveaxis(np.rint(place).astype(np.int64), -1, 0)
    return place, heatmaps[batch, keypoint, y, x]


def smoothed(
    heatmaps: Float[np.ndarray, "B K h w"], taps: int, margin: int
) -> Float[np.ndarray, "B K h+2*{margin} w+2*{margin}"]:
    """Each map in a frame of zeros `margin` pixels wide, smoothed along x and y by OpenCV's Gaussian of `taps` taps.

    That of 3 is (1, 2, 1) / 4, of 5 (1, 4, 6, 4, 1) / 16; one tap leaves maps as they are.
    """
    beyond = taps // 2  # zeros there too: OpenCV would mirror the frame
    room = margin + beyond
    framed = np.pad(heatmaps, ((0, 0), (0, 0), (room, room), (room, room)))
    if taps > 1:
        for index in np.ndindex(framed.shape[:2]):
            framed[index] = cv2.GaussianBlur(framed[index], (taps, taps), 0)
    cut = slice(beyond, -beyond or None)
    return framed[..., cut, cut]


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
