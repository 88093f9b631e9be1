"""Gaussian heatmaps: encode keypoints as Gaussians, and decode maps in several ways.

A network is trained in one of two pixel conventions, which applies to its crops, targets, flip test and decoding; both
count pixels at their centres:

- `ordinary` (SimpleBaseline, HRNet, DARK): the box's corners go to 0 and (W, H) of a crop of W × H pixels, and map
  pixel m is at crop pixel m × stride + offset. The offset is 0 unless the network's author uses another, as in
  MSPN: its targets are at ⌊x / 4⌋ and decoded as 4 m + 2. A mirrored map is (stride − 1 − 2 offset) / stride map
  pixels off. HRNet's code shifts it by one (SHIFT_HEATMAP), MSPN's by none; so decoders by the
  highest pixel shift it by the nearest integer here, and the finer ones by the exact value.
- `unbiased` (UDP): sizes are counted in unit lengths between pixel centres, W − 1 and H − 1. The box's corners go
  to 0 and (W − 1, H − 1), and the map's last pixel is at the crop's last. A mirrored map is aligned.

Sources: Xiao et al., Simple Baselines for Human Pose Estimation, ECCV 2018; Sun et al., HRNet, CVPR 2019; Huang et al.,
The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation, CVPR 2020, section 3; Li
et al., Rethinking on Multi-Stage Networks for Human Pose Estimation, 2019.
The decoders are in `peaks` and `integral`.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs import Candidates, DecodedKeypoints, Outputs
from trustpose.codecs.coordinates import LOWEST, gaussian_bumps, gaussian_mean, soft_argmax
from trustpose.codecs.peaks import (
    argmax_quarter,
    dark,
    dark_step,
    highest_pixels,
    local_maxima,
    quarter_offset,
    smoothed,
    towards_second_highest,
)
from trustpose.geometry.crops import Grid

Convention = Literal["ordinary", "unbiased"]
Decoding = Literal["argmax-quarter", "second-highest", "dark", "udp", "integral"]

DECODINGS: tuple[Decoding, ...] = get_args(Decoding)
CODECS: dict[str, tuple[Decoding, Convention]] = {  # by their names in the papers
    "argmax-quarter": ("argmax-quarter", "ordinary"),
    "second-highest": ("second-highest", "ordinary"),
    "dark": ("dark", "ordinary"),
    "udp": ("udp", "unbiased"),
    "integral": ("integral", "ordinary"),
}
HRNET_FLIP_SHIFT = 1.0  # map pixels
_BY_HIGHEST: tuple[Decoding, ...] = ("argmax-quarter", "second-highest")
_REACH = 3  # sigmas: Gaussians further outside the map have weight 0, and UDP's are cut off there


@dataclass(frozen=True)
class HeatmapCodec:
    """Heatmaps of width × height map pixels, for crops `stride` times as large, with Gaussians of `sigma` map pixels.

    decode(encode(xy)) has, in map pixels along x and along y, an error of at most

    - argmax-quarter: a quarter, or a half if the nearest map pixel is on the map's edge;
    - second-highest: a half;
    - dark, udp: 0.01, anywhere on the map (from σ = 2 on; 0.03 for σ = 1);
    - integral: 0.01, if the keypoint is at least three pixels from the map's edge.

    `temperature` is for the integral: that of the softmax in training. None means that the maps are
    Gaussians. `smoothing` is for argmax-quarter and second-highest: maps are smoothed by a Gaussian with this many
    taps before decoding. `offset`: crop pixels, see above; with the ordinary convention only. A score is the
    peak's height × `score_scale` + `score_offset`.
    """

    width: int
    height: int
    stride: float
    sigma: float = 2.0
    decoding: Decoding = "argmax-quarter"
    convention: Convention = "ordinary"
    temperature: float | None = None
    smoothing: int | None = None
    offset: float = 0.0
    score_scale: float = 1.0
    score_offset: float = 0.0

    def crop_extent(self, width: int, height: int) -> tuple[int, int]:
        """Return the position of the box's high corner in a crop of width × height pixels, for `affine_to_crop`."""
        return (width - 1, height - 1) if self.convention == "unbiased" else (width, height)

    @property
    def strides(self) -> tuple[float, float]:
        """Crop pixels between neighbouring map pixels, along x and along y."""
        return self.grid.stride

    @property
    def grid(self) -> Grid:
        """Positions of the map's pixels in the crop."""
        return self.grid_of(self.width, self.height)

    def grid_of(self, width: int, height: int) -> Grid:
        """Return the positions of pixels of width × height maps in the input, which is `stride` times as large."""
        stride = (self.stride, self.stride)
        if self.convention == "unbiased":
            stride = ((width * stride[0] - 1) / max(width - 1, 1), (height * stride[1] - 1) / max(height - 1, 1))
        return Grid(stride, self.offset)

    @property
    def flip_shift(self) -> float:
        """The shift that aligns a mirrored map, in map pixels to the right."""
        if self.convention == "unbiased":
            return 0.0
        shift = (self.stride - 1 - 2 * self.offset) / self.stride
        return float(np.floor(shift + 0.5)) if self.decoding in _BY_HIGHEST else shift

    def encode(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> Float[np.ndarray, "B K h w"]:
        """Return targets (B, K, height, width) float32: a Gaussian of height 1 at each keypoint's sub-pixel position.

        Keypoints that are not labelled get a map of zeros; their coordinates may be NaN. DARK's "unbiased" targets; in
        the unbiased convention UDP's, which end three sigmas from the nearest pixel.
        """
        xy_map = (xy_crop - self.offset) / self.strides
        if labelled is not None:
            xy_map = np.where(labelled[..., None], xy_map, np.inf)  # a Gaussian infinitely far away: zeros
        across = self._bumps(xy_map[..., 0], self.width)  # (B, K, w)
        down = self._bumps(xy_map[..., 1], self.height)  # (B, K, h)
        return down[..., :, None] * across[..., None, :]

    def encode_people(
        self, xy: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"]
    ) -> Float[np.ndarray, "K h w"]:
        """Return the targets (K, height, width) of one photo with P people: for each joint the maximum of the people's
        Gaussians, so that peaks close to each other stay apart (Cao et al., CVPR 2017, equation 7)."""
        maps = np.zeros((xy.shape[1], self.height, self.width), np.float32)
        for person in range(len(xy)):  # one at a time: bounds memory for crowds
            np.maximum(maps, self.encode(xy[person, None], labelled[person, None])[0], out=maps)
        return maps

    def weights(
        self, xy_crop: Float[np.ndarray, "B K 2"], labelled: Bool[np.ndarray, "B K"] | None = None
    ) -> Float[np.ndarray, "B K"]:
        """Return target weights (B, K) float32: 1 if labelled and within three sigmas of the map, else 0."""
        nearest = np.floor((xy_crop - self.offset) / self.strides + 0.5)
        reach = _REACH * self.sigma
        seen = ((nearest >= -reach) & (nearest <= np.array([self.width, self.height]) - 1 + reach)).all(axis=-1)
        return np.asarray(seen if labelled is None else seen & labelled, dtype=np.float32)

    def decode(self, outputs: Outputs) -> DecodedKeypoints:
        """Return the keypoints of the last stage's heatmaps, one per map; `score` is the peak's height, scaled.

        Maps may have any size; positions are in pixels of the input, which is `stride` times as large.
        """
        heatmaps = outputs.heatmaps[-1]
        if self.decoding == "argmax-quarter":
            xy_map, score = argmax_quarter(heatmaps, self.smoothing)
        elif self.decoding == "second-highest":
            xy_map, score = towards_second_highest(heatmaps, self.smoothing)
        elif self.decoding == "integral":
            xy_map, score = self._integral(heatmaps)
        else:
            xy_map, score = dark(heatmaps, self.sigma, compact=self.decoding == "udp")
        if (self.score_scale, self.score_offset) != (1.0, 0.0):
            score = score * self.score_scale + self.score_offset
        return DecodedKeypoints(self.grid_of(*heatmaps.shape[:1:-1]).positions(xy_map), score)

    def candidates(self, outputs: Outputs, *, min_score: float = -np.inf, max_per_map: int = 30) -> Candidates:
        """Return the keypoints of all people in the last stage's heatmaps: local maxima with at least `min_score`.

        At most `max_per_map` per map, the best first, which is the one that `decode` returns; all have the same
        sub-pixel refinement. If the outputs have "tags", (B, K, h, w) or (B, K, T, h, w) of any size, `tags` are those
        at the peaks. Raises ValueError for a decoder that uses a whole map for one position.
        """
        if self.decoding not in ("argmax-quarter", "dark", "udp"):
            raise ValueError(f"decoding: {self.decoding} reads one position per map, expected argmax-quarter or dark")
        heatmaps = outputs.heatmaps[-1]
        sought = heatmaps if self.smoothing is None else smoothed(heatmaps, self.smoothing, 0)
        (image, joint), peak = local_maxima(sought, max_per_map)
        height = heatmaps[image, joint, peak[:, 1], peak[:, 0]]
        if self.smoothing is not None:  # the best one's is the map's highest, wherever that is: see `argmax_quarter`
            is_best = np.diff(image * heatmaps.shape[1] + joint, prepend=-1) > 0
            height = np.where(is_best, heatmaps.max(axis=(2, 3))[image, joint], height)
        score = height
        if (self.score_scale, self.score_offset) != (1.0, 0.0):
            score = height * self.score_scale + self.score_offset
        rows = np.flatnonzero(score >= min_score)
        image, joint, peak, height = image[rows], joint[rows], peak[rows], height[rows]
        if self.decoding == "argmax-quarter":
            xy_map = quarter_offset(sought, peak, (image, joint))
        else:
            compact = self.decoding == "udp"
            xy_map = dark_step(heatmaps, peak, height, self.sigma, compact=compact, of=(image, joint))
        grid, size = self.grid_of(*heatmaps.shape[:1:-1]), heatmaps.shape[2:]
        tags = None if "tags" not in outputs.extra else _at_peaks(outputs, grid, size, image, joint, peak)
        return Candidates(grid.positions(xy_map), score[rows], image, joint, heatmaps.shape[:2], tags)

    def average_flipped(
        self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"], zoom: float = 1.0
    ) -> Outputs:
        """Average a crop's heatmaps with those of its mirror image, flipped back (`flip_back`), at every stage.

        All other outputs are the crop's own. zoom: the mirrored crop's size in the image over the crop's; its maps are
        enlarged or reduced about the middle, with linear interpolation. Beyond them, the crop's own stand alone.
        """
        means = []
        for maps, mirror in zip(outputs.heatmaps, mirrored.heatmaps, strict=True):
            flipped = flip_back(mirror, flip_index, self.flip_shift)
            means.append((maps + (flipped if zoom == 1 else self._zoomed(flipped, maps, zoom))) / 2)
        return replace(outputs, heatmaps=means)

    def _zoomed(
        self, heatmaps: Float[np.ndarray, "B K h w"], beyond: Float[np.ndarray, "B K h w"], zoom: float
    ) -> Float[np.ndarray, "B K h w"]:
        """Return maps of crops `zoom` times as large on the grid of those of size 1, `beyond` outside of them."""
        weights, inside = [], []
        for length, stride in zip(heatmaps.shape[:1:-1], self.grid_of(*heatmaps.shape[:1:-1]).stride, strict=True):
            at_pixel = np.arange(length) * stride + self.offset
            middle = ((length - 1) * stride if self.convention == "unbiased" else length * stride) / 2
            position = ((at_pixel - middle) / zoom + middle - self.offset) / stride  # in map pixels of the other crop
            # a triangle of width 1 around each place: linear interpolation as a matrix
            weights.append(np.maximum(1 - np.abs(position[:, None] - np.arange(length)), 0).astype(heatmaps.dtype))
            inside.append((position >= 0) & (position <= length - 1))
        moved = weights[1] @ heatmaps @ weights[0].T
        return np.where(inside[1][:, None] & inside[0], moved, beyond)

    def _integral(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean positions, the highest pixel if a map has no Gaussian, and the peaks' heights."""
        peak, score = highest_pixels(heatmaps)
        heatmaps = np.where(np.isfinite(heatmaps), heatmaps, 0)
        if self.temperature is None:
            mean, is_bump = gaussian_mean(heatmaps, self.sigma), score > LOWEST
        else:
            mean, is_bump = soft_argmax(heatmaps, self.temperature), np.isfinite(score)
        return np.where(is_bump[..., None] & np.isfinite(mean), mean, peak), score

    def _bumps(self, centre: Float[np.ndarray, "B K"], length: int) -> Float[np.ndarray, "B K length"]:
        bumps = gaussian_bumps(centre, length, self.sigma)
        if self.convention == "unbiased":
            bumps[np.abs(np.arange(length) - np.floor(centre + 0.5)[..., None]) > _REACH * self.sigma] = 0
        return bumps.astype(np.float32)


def _at_peaks(
    outputs: Outputs, grid: Grid, size: tuple[int, int], image: np.ndarray, joint: np.ndarray, peak: np.ndarray
) -> Float[np.ndarray, "N T"]:
    """Return the tags in the cells at peaks of heatmaps of `size` (h, w), by their own grid if they have one."""
    tags = outputs["tags"]
    tags = tags[:, :, None] if tags.ndim == 4 else tags  # (B, K, T, h, w)
    high, wide = tags.shape[3:]
    if "tags" in outputs.grids:
        cell = np.floor(outputs.grids["tags"].cells(grid.positions(peak.astype(np.float64))) + 0.5).astype(np.int64)
    else:  # both have the same cells
        cell = (2 * peak + 1) * (wide, high) // (2 * np.array(size[::-1]))
    x, y = np.moveaxis(cell.clip(0, (wide - 1, high - 1)), -1, 0)
    return tags[image, joint, :, y, x].astype(np.float64)


def flip_back(
    heatmaps: Float[np.ndarray, "B K h w"], flip_index: Int[np.ndarray, " K"], shift: int | float = HRNET_FLIP_SHIFT
) -> Float[np.ndarray, "B K h w"]:
    """Convert heatmaps (B, K, h, w) of mirrored crops to those of the original crops.

    Mirrored along x, left and right joints exchanged by `flip_index` (K,), then shifted `shift` map pixels to the right
    (to the left if negative), with linear interpolation for fractions. Uncovered columns keep their values.
    """
    back = heatmaps[:, flip_index, :, ::-1]
    whole = int(np.floor(shift))
    part = heatmaps.dtype.type(shift - whole)
    if part:
        return (1 - part) * _move_right(back, whole) + part * _move_right(back, whole + 1)
    return np.ascontiguousarray(_move_right(back, whole))


def _move_right(heatmaps: np.ndarray, pixels: int) -> np.ndarray:
    if pixels < 0:
        return np.concatenate([heatmaps[..., -pixels:], heatmaps[..., pixels:]], axis=-1)
    return np.concatenate([heatmaps[..., :pixels], heatmaps[..., :-pixels]], axis=-1) if pixels else heatmaps
