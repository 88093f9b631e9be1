"""Direct regression: coordinates as network outputs, x, y and a score for each keypoint.

Source: Toshev and Szegedy, DeepPose, CVPR 2014, Eq. 1: coordinates relative to the person's box, in units of its sides.
DeepPose counts from the box's centre, half a side from the corner that is 0 here.
"""

from dataclasses import dataclass, replace

import numpy as np
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
