"""DARK: the peak of a heatmap between its pixels, from a Taylor expansion of the smoothed map's logarithm.

The logarithm of a Gaussian is a parabola, so one Newton step from the highest pixel m ends at its centre:
μ = m − H⁻¹ g, with gradient g and Hessian H of P = ln(smoothed map) at m. Smoothing with a Gaussian as wide as the
training bumps takes out what ripples real maps have.
Sources: Zhang et al., Distribution-Aware Coordinate Representation for Human Pose Estimation, CVPR 2020, Eq. 5–10 (the
step) and "distribution modulation" (the smoothing); with the derivatives of Huang et al., The Devil is in the Details:
Delving into Unbiased Data Processing for Human Pose Estimation, CVPR 2020, where `compact`.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs.peaks import highest_pixels, patches

_LOWEST = {False: 1e-10, True: 1e-3}  # what a logarithm is taken of, at least: in DARK's code, in UDP's
_TINY = 1e-300


def dark(
    heatmaps: Float[np.ndarray, "B K h w"], sigma: float, *, compact: bool = False
) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
    """Places (B, K, 2) x, y in map pixels, between pixels, and the heights (B, K) of the highest pixels, untouched.

    sigma: of the bumps that the network was trained with, in map pixels; the kernel follows from it (`blur_kernel`).
    Derivatives are DARK's, over five pixels, or UDP's over three if `compact`.
    A step that is not towards a maximum (H not negative definite), or that leaves the pixels it was computed from, is
    not taken: such a peak stays at its highest pixel. So do all peaks of a map too small for the derivatives.
    Near the map's edge the kernel is cut to what the map holds on both sides, and the expansion is about the nearest
    pixel whose neighbours the map holds: the parabola is the same there. (The papers' code takes zeros or mirrored
    pixels from beyond the edge, which moves peaks less than seven pixels from it by up to one.)
    """
    place, score = highest_pixels(heatmaps)
    radius = 1 if compact else 2
    size = np.array(heatmaps.shape[:1:-1])  # w, h
    about = place.clip(radius, size - 1 - radius)
    kernel = blur_kernel(sigma)
    reach = radius + len(kernel) // 2
    smooth = _smoothed(patches(heatmaps, about, reach), kernel, np.minimum(about, size - 1 - about) - radius)
    # the smoothed peak back at its own height, so that the floor means the same in any map
    highest = np.maximum(smooth.max(axis=(-2, -1)), _TINY)
    level = np.maximum(smooth * (score / highest)[..., None, None], _LOWEST[compact])
    step = _newton((_compact if compact else _wide)(np.log(level)))
    taken = (np.abs(step) <= reach).all(axis=-1, keepdims=True) & (size > 2 * radius).all()
    return np.where(taken, about + step, place), score


@cache
def blur_kernel(sigma: float) -> Float[np.ndarray, " taps"]:
    """The smoothing kernel for bumps of `sigma` map pixels: 11 taps for σ = 2, 17 for σ = 3, as DARK's code has them.

    The number of taps is OpenCV's for that σ, read backwards and rounded: σ = 0.3 ((taps − 1) / 2 − 1) + 0.8.
    """
    radius = max(round((sigma - 0.8) / 0.3 + 1), 1)
    width = 0.3 * (radius - 1) + 0.8
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * width**2))
    return kernel / kernel.sum()


def _smoothed(
    patch: Float[np.ndarray, "B K rows columns"], kernel: Float[np.ndarray, " taps"], room: Int[np.ndarray, "B K 2"]
) -> Float[np.ndarray, "B K side side"]:
    """The middle of each patch smoothed along x and y by the kernel, cut to `room` (x, y) pixels on both sides."""
    radius = len(kernel) // 2
    side = patch.shape[-1] - 2 * radius
    bands = np.zeros((radius + 1, side, patch.shape[-1]))  # one matrix for each cut
    for cut in range(radius + 1):
        part = kernel[radius - cut : radius + cut + 1]
        for row in range(side):
            bands[cut, row, row + radius - cut : row + radius + cut + 1] = part / part.sum()
    across, down = (bands[room[..., axis].clip(0, radius)] for axis in (0, 1))
    with np.errstate(invalid="ignore"):  # maps with infinities become NaN, and their peaks stay
        return down @ patch @ np.swapaxes(across, -1, -2)


def _wide(log: Float[np.ndarray, "B K 5 5"]) -> tuple[np.ndarray, ...]:
    """Gradient and Hessian dx, dy, dxx, dxy, dyy, second derivatives as differences of central differences."""
    dx = (log[..., 2, 3] - log[..., 2, 1]) / 2
    dy = (log[..., 3, 2] - log[..., 1, 2]) / 2
    dxx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
    dyy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
    dxy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
    return dx, dy, dxx, dxy, dyy


def _compact(log: Float[np.ndarray, "B K 3 3"]) -> tuple[np.ndarray, ...]:
    """The same from three pixels; dxy from the diagonal that leads from low x and y to high."""
    left, right, up, down = log[..., 1, 0], log[..., 1, 2], log[..., 0, 1], log[..., 2, 1]
    centre = log[..., 1, 1]
    dxx, dyy = right - 2 * centre + left, down - 2 * centre + up
    dxy = (log[..., 2, 2] - 2 * centre + log[..., 0, 0] - dxx - dyy) / 2
    return (right - left) / 2, (down - up) / 2, dxx, dxy, dyy


def _newton(derivatives: tuple[np.ndarray, ...]) -> Float[np.ndarray, "B K 2"]:
    """−H⁻¹ g, or infinity where that does not lead to a maximum."""
    dx, dy, dxx, dxy, dyy = derivatives
    determinant = dxx * dyy - dxy * dxy
    is_maximum = (determinant > 0) & (dxx < 0)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    return np.where(is_maximum[..., None], step / np.where(is_maximum, determinant, 1.0)[..., None], np.inf)
