"""Coordinates of keypoints: direct regression, and the mean position under a heatmap (integral decoding).

Direct regression. Source: Toshev and Szegedy, DeepPose, CVPR 2014, Eq. 1: coordinates relative to the person's box,
in units of its sides. DeepPose counts from the box's centre, half a side from the corner that is 0 here.

Integral decoding: the mean position under a heatmap normalised to sum 1. Source: Sun et al., Integral Human Pose
Regression, ECCV 2018, Eq. 2–4: J = Σ_p p · H̃(p), H̃ = softmax(H). Written against the array API, for numpy arrays
and torch tensors, with gradients in torch: one function serves the loss on coordinates in training and the decoding.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Bool, Float, Int

from trustpose.codecs import DecodedKeypoints, Outputs


@dataclass(frozen=True)
class CoordinateCodec:
    """Numbers (B, K, 3) in `order`, of crops of width × height pixels.

    With `normalised`, 0 is the centre of the crop's first pixel and 1 is `width` (or `height`) pixels further, like the
    box's corners in `geometry.crops`; otherwise they are crop pixels. decode(encode(xy)) is xy up to float32's
    rounding.
    """

    width: int
    height: int
    order: tuple[str, str, str] = ("x", "y", "score")
    normalised: bool = True

    def crop_extent(self, width: int, height: int) -> tuple[int, int]:
        """Return the position of the box's high corner in a crop of width × height pixels, for `affine_to_crop`."""
        return width, height

    def encode(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> Float[np.ndarray, "B K 3"]:
        """Return targets (B, K, 3) float32 in `order`, with score 1; 0, 0, 0 where not labelled, whatever xy holds."""
        if labelled is None:
            labelled = np.ones(xy_crop.shape[:2], dtype=bool)
        xy = np.where(labelled[..., None], xy_crop / self._unit, 0.0)
        columns = {"x": xy[..., 0], "y": xy[..., 1], "score": labelled}
        return np.stack([columns[name] for name in self.order], axis=-1).astype(np.float32)

    def weights(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> Float[np.ndarray, "B K"]:
        """Return target weights (B, K) float32: 1 if labelled and between the crop's first and last pixels, else 0."""
        inside = ((xy_crop >= 0) & (xy_crop <= np.array([self.width, self.height]) - 1)).all(axis=-1)
        return np.asarray(inside if labelled is None else inside & labelled, dtype=np.float32)

    def decode(self, outputs: Outputs) -> DecodedKeypoints:
        """Return the keypoints in crop pixels with the network's own scores. Raises ValueError if there are none."""
        if outputs.coordinates is None:
            raise ValueError("outputs.coordinates: expected (B, K, 3), got None")
        x, y, score = (outputs.coordinates[..., self.order.index(name)] for name in ("x", "y", "score"))
        return DecodedKeypoints(np.stack([x, y], axis=-1).astype(np.float64) * self._unit, score)

    def average_flipped(self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"]) -> Outputs:
        """Average the coordinates and scores of a crop with those of its mirror image, flipped back."""
        if outputs.coordinates is None or mirrored.coordinates is None:
            raise ValueError("outputs.coordinates: expected (B, K, 3), got None")
        back = self.flip_back(mirrored.coordinates, flip_index)
        return replace(outputs, coordinates=(outputs.coordinates + back) / 2)

    def flip_back(
        self, coordinates: Float[np.ndarray, "B K 3"], flip_index: Int[np.ndarray, " K"]
    ) -> Float[np.ndarray, "B K 3"]:
        """Convert coordinates (B, K, 3) of mirrored crops to those of the original crops."""
        back = coordinates[:, flip_index].copy()
        x = self.order.index("x")
        back[..., x] = (self.width - 1) / self._unit[0] - back[..., x]  # the last pixel's centre becomes the first's
        return back

    @property
    def _unit(self) -> tuple[float, float]:
        """Crop pixels per unit of the network, along x and along y."""
        return (float(self.width), float(self.height)) if self.normalised else (1.0, 1.0)


LOWEST = 1e-6  # lower bound for logarithms, for a Gaussian of height 1


def soft_argmax(maps: Float[Any, "B K *sides"], temperature: float = 1.0) -> Float[Any, "B K axes"]:
    """Return mean positions (B, K, 2) x, y in map pixels under softmax(maps / temperature); of volumes (B, K, D, h, w)
    x, y, z (B, K, 3) in voxels.

    Temperature 1 is the paper's, for networks trained through this function.
    """
    xp = array_namespace(maps)
    axes = tuple(range(-1, 1 - maps.ndim, -1))  # x is the last axis, y the one before
    level = maps / temperature
    weight = xp.exp(level - xp.max(level, axis=axes, keepdims=True))
    means = []
    for axis in axes:
        along = xp.sum(weight, axis=tuple(other for other in axes if other != axis))  # (B, K, side)
        means.append(xp.sum(along * _pixels(xp, maps.shape[axis], maps), axis=-1) / xp.sum(along, axis=-1))
    return xp.stack(means, axis=-1)


def gaussian_mean(maps: Float[np.ndarray, "B K *sides"], sigma: float) -> Float[np.ndarray, "B K axes"]:
    """Return mean positions (B, K, 2) x, y in map pixels under Gaussian maps of `sigma` map pixels and any height; of
    volumes x, y, z (B, K, 3).

    A softmax turns a Gaussian's logarithm into a Gaussian: H̃ = softmax(ln(H) / T) has the width σ √T. T = 1 / (2 σ²)
    makes that 1/√2 pixels: about the narrowest whose mean is exact on the pixel grid (to 0.001 pixels), and so the
    least affected by the rest of the map.
    """
    return soft_argmax(np.log(np.maximum(maps, LOWEST)), 1 / (2 * sigma**2))


def gaussian_bumps(centre: Float[Any, "*N"], length: int, sigma: float) -> Float[Any, "*N length"]:
    """Return Gaussians of height 1 and `sigma` pixels about `centre`, at pixels 0 … length − 1, for numpy and torch."""
    xp = array_namespace(centre)
    return xp.exp(-((_pixels(xp, length, centre) - centre[..., None]) ** 2) / (2 * sigma**2))


def _pixels(xp: Any, length: int, like: Any) -> Any:
    return xp.arange(length, dtype=like.dtype, device=device(like))
