"""Find peaks of heatmaps, the highest pixel or all local maxima, and refine them between pixels."""

from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, Int

Maps = tuple[Int[np.ndarray, "*N"], Int[np.ndarray, "*N"]]  # indices into batch and keypoints
_MARGIN = 10  # map pixels of zero padding in MSPN's code before smoothing


def highest_pixels(
    heatmaps: Float[np.ndarray, "B K h w"],
) -> tuple[Int[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Return positions (B, K, 2) x, y in map pixels and heights (B, K) of the highest pixels, in ties the first."""
    batch, count, height, width = heatmaps.shape
    flat = heatmaps.reshape(batch, count, height * width)
    peak = flat.argmax(axis=2)[..., None]  # (B, K, 1)
    y, x = np.divmod(peak, width)
    return np.concatenate([x, y], axis=2), np.take_along_axis(flat, peak, axis=2)[..., 0]


def local_maxima(heatmaps: Float[np.ndarray, "B K h w"], max_per_map: int) -> tuple[Maps, Int[np.ndarray, "N 2"]]:
    """Return the local maxima of every map, at most the `max_per_map` highest: maps, and positions (N, 2) x, y.

    Sorted by map, the highest first; the first of each map is that of `highest_pixels`. In a tie between neighbours the
    first in row order counts as higher. A map with NaN may have none.
    """
    count, height, width = heatmaps.shape[1:]
    room = np.pad(heatmaps, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    is_peak = np.ones(heatmaps.shape, np.bool_)
    for down, right in np.ndindex(3, 3):
        neighbour = room[:, :, down : down + height, right : right + width]
        if (down, right) < (1, 1):
            is_peak &= heatmaps > neighbour
        elif (down, right) > (1, 1):
            is_peak &= heatmaps >= neighbour
    pixel = np.flatnonzero(is_peak)
    which = pixel // (height * width)
    order = np.lexsort((-heatmaps.reshape(-1)[pixel], which))  # stable: ties keep row order
    pixel, which = pixel[order], which[order]
    first = np.searchsorted(which, which)  # start of each one's map
    rows = np.flatnonzero(np.arange(len(which)) - first < max_per_map)
    y, x = np.divmod(pixel[rows] % (height * width), width)
    return np.divmod(which[rows], count), np.stack([x, y], axis=1)


def argmax_quarter(
    heatmaps: Float[np.ndarray, "B K h w"], smoothing: int | None = None
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Return positions (B, K, 2) x, y in map pixels and heights (B, K) of the highest pixels.

    Each position is moved a quarter pixel along x and along y towards the higher of the two neighbours, unless they are
    equal or the peak is on an edge of the map. No map is dropped, however low or flat. With `smoothing`, an odd number
    of taps, positions are those of the smoothed map; heights are the map's own. Source: Sun et al., HRNet, CVPR 2019,
    section 3: "a quarter offset in the direction from the highest response to the second highest response"; as in its
    code, along x and y separately. Smoothing is as in mmpose's decoding of MSPN.
    """
    position, score = highest_pixels(heatmaps)
    if smoothing is not None:
        heatmaps = smoothed(heatmaps, smoothing, 0)
        position, _ = highest_pixels(heatmaps)
    return quarter_offset(heatmaps, position), score


def quarter_offset(
    heatmaps: Float[np.ndarray, "B K h w"], position: Int[np.ndarray, "*N 2"], of: Maps | None = None
) -> Float[np.ndarray, "*N 2"]:
    """Return positions moved a quarter pixel as in `argmax_quarter`; `of`: the map of each, if not one per map."""
    height, width = heatmaps.shape[2:]
    around = patches(heatmaps, position, 1, of)  # (…, 3, 3)
    slope = np.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], axis=-1)
    inside = ((position > 0) & (position < (width - 1, height - 1))).all(axis=-1, keepdims=True)
    return position + 0.25 * np.sign(np.where(inside, slope, 0.0))


def towards_second_highest(
    heatmaps: Float[np.ndarray, "B K h w"], smoothing: int | None = None
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Return positions (B, K, 2) x, y in map pixels and the maps' heights (B, K) there, at the nearest pixel.

    Each position is the highest pixel, moved a quarter pixel straight towards the second highest, anywhere in the map.
    In ties, the first in row order is the higher one. With `smoothing`, an odd number of taps, both are found in the
    smoothed map. Source: Li et al., Rethinking on Multi-Stage Networks for Human Pose Estimation, 2019; as in its code,
    the map is padded with zeros, the highest pixel is set to 0 to find the second, and positions are clipped to the
    map.
    """
    height, width = heatmaps.shape[2:]
    framed = smoothed(heatmaps.astype(np.float64), smoothing or 1, _MARGIN)
    first, _ = highest_pixels(framed)
    batch, keypoint = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]]
    framed[batch, keypoint, first[..., 1], first[..., 0]] = 0
    step = (highest_pixels(framed)[0] - first).astype(np.float64)
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    position = first - _MARGIN + 0.25 * step / np.maximum(length, 1)  # neighbours are at least a pixel apart
    position = position.clip(0, (width - 1, height - 1))
    x, y = np.moveaxis(np.rint(position).astype(np.int64), -1, 0)
    return position, heatmaps[batch, keypoint, y, x]


def smoothed(
    heatmaps: Float[np.ndarray, "B K h w"], taps: int, margin: int
) -> Float[np.ndarray, "B K h+2*{margin} w+2*{margin}"]:
    """Smooth each map, padded with `margin` zeros, along x and y by OpenCV's Gaussian with `taps` taps.

    For 3 taps it is (1, 2, 1) / 4, for 5 (1, 4, 6, 4, 1) / 16; one tap leaves maps unchanged.
    """
    beyond = taps // 2  # more zeros: OpenCV would mirror the border
    room = margin + beyond
    framed = np.pad(heatmaps, ((0, 0), (0, 0), (room, room), (room, room)))
    if taps > 1:
        for index in np.ndindex(framed.shape[:2]):
            framed[index] = cv2.GaussianBlur(framed[index], (taps, taps), 0)
    cut = slice(beyond, -beyond or None)
    return framed[..., cut, cut]


def patches(
    heatmaps: Float[np.ndarray, "B K h w"], position: Int[np.ndarray, "*N 2"], radius: int, of: Maps | None = None
) -> Float[np.ndarray, "*N side side"]:
    """Return the maps within `radius` pixels of `position` x, y, float64; zeros beyond the map.

    of: batch and keypoint index of each position's map; None for positions (B, K, 2), one per map.
    """
    height, width = heatmaps.shape[2:]
    reach = np.arange(-radius, radius + 1)
    x, y = position[..., 0, None] + reach, position[..., 1, None] + reach  # (…, side)
    batch, keypoint = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]] if of is None else of
    values = heatmaps[
        batch[..., None, None],
        keypoint[..., None, None],
        y.clip(0, height - 1)[..., :, None],
        x.clip(0, width - 1)[..., None, :],
    ]
    is_in_map = ((y >= 0) & (y < height))[..., :, None] & ((x >= 0) & (x < width))[..., None, :]
    return np.where(is_in_map, values, 0.0).astype(np.float64)


_LOWEST = {False: 1e-10, True: 1e-3}  # lower bound for logarithms: in DARK's code, in UDP's
_TINY = 1e-300


def dark(
    heatmaps: Float[np.ndarray, "B K h w"], sigma: float, *, compact: bool = False
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Return positions (B, K, 2) x, y in map pixels, between pixels, and the heights (B, K) of the highest pixels,
    unchanged.

    sigma: of the Gaussians in training, in map pixels; it determines the kernel (`blur_kernel`). Derivatives are
    DARK's, over five pixels, or UDP's over three if `compact`. A step that is not towards a maximum (H not negative
    definite), or that leaves the pixels it was computed from, is not taken: such a peak stays at its highest pixel. So
    do all peaks of a map too small for the derivatives. Near the map's edge the kernel is cut to the part inside the
    map on both sides, and the expansion is about the nearest pixel with neighbours in the map: the parabola is the same
    there. (The papers' code uses zeros or mirrored pixels beyond the edge, which moves peaks less than seven pixels
    from it by up to one.)
    """
    position, score = highest_pixels(heatmaps)
    return dark_step(heatmaps, position, score, sigma, compact=compact), score


def dark_step(
    heatmaps: Float[np.ndarray, "B K h w"],
    position: Int[np.ndarray, "*N 2"],
    score: Float[np.ndarray, "*N"],
    sigma: float,
    *,
    compact: bool,
    of: Maps | None = None,
) -> Float[np.ndarray, "*N 2"]:
    """Move peaks of height `score` at whole pixels as in `dark`; `of`: see `patches`."""
    radius = 1 if compact else 2
    size = np.array(heatmaps.shape[:1:-1])  # w, h
    about = position.clip(radius, size - 1 - radius)
    kernel = blur_kernel(sigma)
    reach = radius + len(kernel) // 2
    smooth = _smoothed(patches(heatmaps, about, reach, of), kernel, np.minimum(about, size - 1 - about) - radius)
    # restore the peak's height after smoothing, so that the lower bound has the same meaning in any map
    highest = np.maximum(smooth.max(axis=(-2, -1)), _TINY)
    level = np.maximum(smooth * (score / highest)[..., None, None], _LOWEST[compact])
    step = _newton((_compact if compact else _wide)(np.log(level)))
    is_valid = (np.abs(step) <= reach).all(axis=-1, keepdims=True) & (size > 2 * radius).all()
    return np.where(is_valid, about + step, position)


@cache
def blur_kernel(sigma: float) -> Float[np.ndarray, " taps"]:
    """Return the smoothing kernel for Gaussians of `sigma` map pixels: 11 taps for σ = 2, 17 for σ = 3, as in DARK's
    code.

    The number of taps is the inverse of OpenCV's rule, rounded: σ = 0.3 ((taps − 1) / 2 − 1) + 0.8.
    """
    radius = max(round((sigma - 0.8) / 0.3 + 1), 1)
    width = 0.3 * (radius - 1) + 0.8
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * width**2))
    return kernel / kernel.sum()


def _smoothed(
    patch: Float[np.ndarray, "*N rows columns"], kernel: Float[np.ndarray, " taps"], room: Int[np.ndarray, "*N 2"]
) -> Float[np.ndarray, "*N side side"]:
    """Smooth the middle of each patch along x and y by the kernel, cut to `room` (x, y) pixels on both sides."""
    radius = len(kernel) // 2
    side = patch.shape[-1] - 2 * radius
    bands = np.zeros((radius + 1, side, patch.shape[-1]))  # one matrix per half width
    for half_width in range(radius + 1):
        part = kernel[radius - half_width : radius + half_width + 1]
        for row in range(side):
            bands[half_width, row, row + radius - half_width : row + radius + half_width + 1] = part / part.sum()
    across, down = (bands[room[..., axis].clip(0, radius)] for axis in (0, 1))
    with np.errstate(invalid="ignore"):  # maps with infinities become NaN, and their peaks stay
        return down @ patch @ np.swapaxes(across, -1, -2)


def _wide(log: Float[np.ndarray, "*N 5 5"]) -> tuple[np.ndarray, ...]:
    """Return gradient and Hessian dx, dy, dxx, dxy, dyy; second derivatives are differences of central differences."""
    dx = (log[..., 2, 3] - log[..., 2, 1]) / 2
    dy = (log[..., 3, 2] - log[..., 1, 2]) / 2
    dxx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
    dyy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
    dxy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
    return dx, dy, dxx, dxy, dyy


def _compact(log: Float[np.ndarray, "*N 3 3"]) -> tuple[np.ndarray, ...]:
    """Return the same from three pixels; dxy from the diagonal from low x and y to high."""
    left, right, up, down = log[..., 1, 0], log[..., 1, 2], log[..., 0, 1], log[..., 2, 1]
    centre = log[..., 1, 1]
    dxx, dyy = right - 2 * centre + left, down - 2 * centre + up
    dxy = (log[..., 2, 2] - 2 * centre + log[..., 0, 0] - dxx - dyy) / 2
    return (right - left) / 2, (down - up) / 2, dxx, dxy, dyy


def _newton(derivatives: tuple[np.ndarray, ...]) -> Float[np.ndarray, "*N 2"]:
    """Return −H⁻¹ g, or infinity if that does not lead to a maximum."""
    dx, dy, dxx, dxy, dyy = derivatives
    determinant = dxx * dyy - dxy * dxy
    is_maximum = (determinant > 0) & (dxx < 0)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    return np.where(is_maximum[..., None], step / np.where(is_maximum, determinant, 1.0)[..., None], np.inf)
