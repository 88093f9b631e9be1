"""SimCC: a keypoint's position as two classifications, over the columns and the rows of a crop.

Each crop pixel is split into `split` bins along each side, so bins are finer than pixels without upsampling. Sources:
Li et al., SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation, ECCV 2022 (bins, Gaussian
label smoothing, section 3.2); Jiang et al., RTMPose, 2023 (σ = 4.9 and 5.66 bins for 192 × 256, the distributions'
maxima as score). Between the bins: DARK's step (`codecs.peaks`) in one dimension.
"""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs import DecodedKeypoints, Outputs
from trustpose.geometry.crops import Grid

_FLOOR, _CEILING = 1e-3, 50.0  # bounds for logarithms (mmpose's)
_REACH = 3  # sigmas beyond the crop at which a keypoint's weight becomes 0
Sigma = tuple[float, float]
Score = Literal["lower", "mean"]


@dataclass(frozen=True)
class SimCCCodec:
    """Logits over the columns (B, K, width × split) and the rows (B, K, height × split) of crops.

    Bin i is at crop pixel i / split, pixels counted at their centres. `sigma`: of the smoothed labels along x and y, in
    bins. `normalised` labels sum to 1 (the paper), others have height 1 (RTMPose's recipes, whose loss applies a
    softmax). decode(encode(xy)) is xy rounded to a bin, anywhere in the crop; with `subbin`, which refines peaks
    between the bins, it is accurate to 0.01 bins if the keypoint is at least six sigmas from the crop's edge. `score`:
    the lower of the two maxima (mmpose's) or their mean (rtmlib's). `flip_shift`: shift of mirrored columns to the left
    in the flip test, in bins; None: the shift that aligns them (`flip_back`).
    """

    width: int
    height: int
    split: float = 2.0
    sigma: Sigma = (4.9, 5.66)
    normalised: bool = False
    subbin: bool = False
    score: Score = "lower"
    flip_shift: int | None = None

    def crop_extent(self, width: int, height: int) -> tuple[int, int]:
        """Return the position of the box's high corner in a crop of width × height pixels, for `affine_to_crop`."""
        return width, height

    @property
    def grid(self) -> Grid:
        """Positions of the bins in the crop."""
        bin_ = 1 / self.split
        return Grid((bin_, bin_))

    @property
    def bins(self) -> tuple[int, int]:
        """Number of bins along x and y."""
        return round(self.width * self.split), round(self.height * self.split)

    def encode(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> tuple[Float[np.ndarray, "B K X"], Float[np.ndarray, "B K Y"]]:
        """Return smoothed labels (B, K, X) and (B, K, Y) float32: a Gaussian about the bin nearest to each keypoint.

        Zeros if a keypoint is not labelled (its coordinates may be NaN) or too far outside the crop.
        """
        used = self.weights(xy_crop, labelled) > 0
        nearest = np.around(np.where(used[..., None], xy_crop, 0.0) * self.split)
        labels = []
        for axis, (count, sigma) in enumerate(zip(self.bins, self.sigma, strict=True)):
            distance = np.arange(count) - nearest[..., axis, None]  # (B, K, bins)
            bump = np.exp(-(distance**2) / (2 * sigma**2)) * used[..., None]
            labels.append((bump / (sigma * np.sqrt(2 * np.pi)) if self.normalised else bump).astype(np.float32))
        return labels[0], labels[1]

    def weights(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> Float[np.ndarray, "B K"]:
        """Return target weights (B, K) float32: 1 if labelled and within three sigmas of the crop, else 0."""
        bin_ = np.around(xy_crop * self.split)
        reach = _REACH * np.array(self.sigma)
        seen = ((bin_ - reach < np.array(self.bins)) & (bin_ + reach + 1 >= 0)).all(axis=-1)  # False for NaN
        return np.asarray(seen if labelled is None else seen & labelled, dtype=np.float32)

    def decode(self, outputs: Outputs) -> DecodedKeypoints:
        """Return the keypoints in crop pixels; `score` is the lower of the two maxima, or their mean, unchanged.

        Every keypoint has a position, however low its score. Raises ValueError if the outputs have no `simcc`.
        """
        columns, rows = _simcc_of(outputs)
        positions, scores = [], []
        for logits, sigma in ((columns, self.sigma[0]), (rows, self.sigma[1])):
            bin_index = logits.argmax(axis=-1)  # (B, K)
            scores.append(np.take_along_axis(logits, bin_index[..., None], axis=-1)[..., 0])
            positions.append(refine_peaks(logits, bin_index, sigma) if self.subbin else bin_index.astype(np.float64))
        score = np.minimum(*scores) if self.score == "lower" else (scores[0] + scores[1]) / 2
        return DecodedKeypoints(np.stack(positions, axis=-1) / self.split, score)

    def average_flipped(self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"]) -> Outputs:
        """Average a crop's logits with those of its mirror image, flipped back (`flip_back`)."""
        (columns, rows), (other_columns, other_rows) = _simcc_of(outputs), _simcc_of(mirrored)
        back = self.flip_back(other_columns, flip_index)
        simcc = (columns + back) / 2, (rows + other_rows[:, flip_index]) / 2
        return replace(outputs, simcc=simcc)

    def flip_back(
        self, columns: Float[np.ndarray, "B K X"], flip_index: Int[np.ndarray, " K"]
    ) -> Float[np.ndarray, "B K X"]:
        """Convert logits over the columns of mirrored crops to those of the original crops.

        Pixel x of a crop is pixel width − 1 − x of its mirror image, so bin i is bin X − split − i: reversed, the
        logits shift split − 1 bins to the left. (mmpose's flip test only reverses, half a pixel off at split 2: a
        `flip_shift` of 0.) Uncovered bins on the right keep their values.
        """
        back = columns[:, flip_index, ::-1]
        shift = round(self.split) - 1 if self.flip_shift is None else self.flip_shift
        return np.concatenate([back[..., shift:], back[..., back.shape[-1] - shift :]], axis=-1) if shift else back


def refine_peaks(
    logits: Float[np.ndarray, "B K bins"], peak: Int[np.ndarray, "B K"], sigma: float
) -> Float[np.ndarray, "B K"]:
    """Refine peaks (B, K) between the bins: one Newton step on the logarithm of the smoothed distributions.

    The kernel and the derivatives, over five bins, are those of mmpose's `refine_simcc_dark`. A step that does not lead
    to a maximum, or that leaves the bins it was computed from, is not taken.
    """
    count = logits.shape[-1]
    flat = logits.reshape(-1, count).astype(np.float32)
    taps = int((sigma * 20 - 7) // 3)
    taps -= taps % 2 == 0
    smooth = cv2.GaussianBlur(flat, (taps, 1), 0, borderType=cv2.BORDER_CONSTANT) if taps > 1 else flat
    height, was = smooth.max(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    smooth = smooth * np.divide(was, height, out=np.ones_like(was), where=height != 0)  # restore the height
    log = np.pad(np.log(np.clip(smooth, _FLOOR, _CEILING)), ((0, 0), (2, 2)), mode="edge")
    index = peak.reshape(-1, 1) + 2
    below2, below, at_peak, above, above2 = (
        np.take_along_axis(log, index + step, axis=1)[:, 0] for step in range(-2, 3)
    )
    slope, curvature = (above - below) / 2, (above2 - 2 * at_peak + below2) / 4
    is_maximum = curvature < 0
    step = np.where(is_maximum, -slope / np.where(is_maximum, curvature, -1.0), 0.0)
    step = np.where(np.abs(step) <= 2, step, 0.0)
    return (peak + step.reshape(peak.shape)).astype(np.float64)


def _simcc_of(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
    if outputs.simcc is None:
        raise ValueError("outputs.simcc: expected logits over columns and rows, got None")
    return outputs.simcc
