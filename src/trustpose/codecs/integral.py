"""Integral decoding: the mean position under a heatmap normalised to sum 1.

Source: Sun et al., Integral Human Pose Regression, ECCV 2018, Eq. 2–4: J = Σ_p p · H̃(p), H̃ = softmax(H). Written
against the array API, for numpy arrays and torch tensors, with gradients in torch: one function serves the loss on
coordinates in training and the decoding.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

LOWEST = 1e-6  # lower bound for logarithms, for a Gaussian of height 1


def soft_argmax(heatmaps: Float[Any, "B K h w"], temperature: float = 1.0) -> Float[Any, "B K 2"]:
    """Return mean positions (B, K, 2) x, y in map pixels under softmax(heatmaps / temperature).

    Temperature 1 is the paper's, for networks trained through this function.
    """
    xp = array_namespace(heatmaps)
    height, width = heatmaps.shape[-2:]
    level = heatmaps / temperature
    weight = xp.exp(level - xp.max(level, axis=(-2, -1), keepdims=True))
    across, down = xp.sum(weight, axis=-2), xp.sum(weight, axis=-1)  # (B, K, w), (B, K, h)
    total = xp.sum(across, axis=-1)
    x = xp.sum(across * _pixels(xp, width, heatmaps), axis=-1) / total
    y = xp.sum(down * _pixels(xp, height, heatmaps), axis=-1) / total
    return xp.stack([x, y], axis=-1)


def gaussian_mean(heatmaps: Float[np.ndarray, "B K h w"], sigma: float) -> Float[np.ndarray, "B K 2"]:
    """Return mean positions (B, K, 2) x, y in map pixels under Gaussian maps of `sigma` map pixels and any height.

    A softmax turns a Gaussian's logarithm into a Gaussian: H̃ = softmax(ln(H) / T) has the width σ √T. T = 1 / (2 σ²)
    makes that 1/√2 pixels: about the narrowest whose mean is exact on the pixel grid (to 0.001 pixels), and so the
    least affected by the rest of the map.
    """
    return soft_argmax(np.log(np.maximum(heatmaps, LOWEST)), 1 / (2 * sigma**2))


def _pixels(xp: Any, length: int, like: Any) -> Any:
    return xp.arange(length, dtype=like.dtype, device=device(like))
