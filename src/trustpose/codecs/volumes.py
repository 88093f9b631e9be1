"""Volumes of heatmaps: encode keypoints with their depths as Gaussians in 3D, and decode by the integral or the argmax.

A keypoint is x, y in crop pixels, and z in metres: its depth behind the root joint, negative in front of it. A volume
spans the crop and, about the root's depth, `extent` metres: voxel d of D is at z = (d / D − ½) × extent, as map pixel m
is at crop pixel m × stride. A network gives the D maps of each keypoint one after the other, as channels.

Sources: Pavlakos et al., Coarse-to-Fine Volumetric Prediction for Single-Image 3D Human Pose, CVPR 2017 (volumes of
Gaussians, the argmax); Sun et al., Integral Human Pose Regression, ECCV 2018, equations 2 to 4, and its code
(JimmySuen/integral-human-pose): the integral over x, y and z, an extent of 2 m, and the positions of the voxels.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Bool, Float, Int

from trustpose.codecs import DecodedKeypoints, Outputs
from trustpose.codecs.coordinates import LOWEST, gaussian_bumps, gaussian_mean, soft_argmax
from trustpose.codecs.heatmaps import HeatmapCodec, flip_back
from trustpose.codecs.peaks import highest_pixels

VolumeDecoding = Literal["argmax", "integral"]
VOLUME_DECODINGS: tuple[VolumeDecoding, ...] = get_args(VolumeDecoding)
EXTENT = 2.0  # metres
_REACH = 3  # sigmas: Gaussians further outside the volume have weight 0


class DecodedVolumes(NamedTuple):
    """Decoded keypoints of B crops: xyz (B, K, 3), x and y in crop pixels, z in metres; score (B, K), the highest
    voxel's, raw."""

    xyz: Float[np.ndarray, "B K 3"]
    score: Float[np.ndarray, "B K"]


@dataclass(frozen=True)
class VolumeCodec:
    """Volumes of depth × height × width voxels, for crops `stride` times as wide and high, with Gaussians of `sigma`
    voxels.

    decode_volumes(encode(xyz)) has along each axis an error of at most half a voxel by the argmax, and of 0.01 voxels
    by the integral if the keypoint is three voxels or more inside the volume. `temperature` is the integral's: that of
    the softmax in training; None: the volumes are Gaussians. extent: metres along the depth.
    """

    width: int
    height: int
    depth: int = 64
    stride: float = 4.0
    sigma: float = 2.0
    decoding: VolumeDecoding = "integral"
    temperature: float | None = None
    extent: float = EXTENT

    @property
    def plane(self) -> HeatmapCodec:
        """The codec of heatmaps of the same crops and pixels."""
        decoding = "integral" if self.decoding == "integral" else "argmax-quarter"
        return HeatmapCodec(self.width, self.height, self.stride, self.sigma, decoding, temperature=self.temperature)

    @property
    def sides(self) -> tuple[int, int, int]:
        """The numbers of voxels along x, y and z."""
        return self.width, self.height, self.depth

    def crop_extent(self, width: int, height: int) -> tuple[int, int]:
        """Return the position of the box's high corner in a crop of width × height pixels, for `affine_to_crop`."""
        return self.plane.crop_extent(width, height)

    def voxels(self, xyz: Float[Any, "*N 3"]) -> Float[Any, "*N 3"]:
        """Convert keypoints to positions in voxels, for numpy and torch."""
        x, y, z = (xyz[..., axis] for axis in range(3))
        depth = (z / self.extent + 0.5) * self.depth
        return array_namespace(xyz).stack([x / self.stride, y / self.stride, depth], axis=-1)

    def positions(self, voxels: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """Convert positions in voxels to keypoints. The inverse of `voxels`."""
        x, y, depth = np.moveaxis(voxels, -1, 0)
        return np.stack([x * self.stride, y * self.stride, (depth / self.depth - 0.5) * self.extent], axis=-1)

    def volumes(self, maps: Float[Any, "B channels h w"]) -> Float[Any, "B K D h w"]:
        """Split a network's channels into each keypoint's volume, for numpy and torch."""
        return maps.reshape(len(maps), -1, self.depth, *maps.shape[2:])

    def encode(self, xyz: Float[Any, "B K 3"], labelled: Bool[Any, "B K"] | None = None) -> Float[Any, "B K D h w"]:
        """Return targets (B, K, D, h, w): a Gaussian of height 1 at each keypoint, zeros for those that are not
        labelled, whose coordinates may be NaN. For numpy and torch."""
        xp = array_namespace(xyz)
        voxels = self.voxels(xyz)
        if labelled is not None:  # a Gaussian infinitely far away: zeros
            voxels = xp.where(labelled[..., None], voxels, xp.full_like(voxels, xp.inf))
        across, down, deep = (
            gaussian_bumps(voxels[..., axis], side, self.sigma) for axis, side in enumerate(self.sides)
        )
        return deep[..., :, None, None] * down[..., None, :, None] * across[..., None, None, :]

    def weights(self, xyz: Float[np.ndarray, "B K 3"], labelled: Bool[np.ndarray, "B K"]) -> Float[np.ndarray, "B K"]:
        """Return target weights (B, K) float32: 1 if labelled and within three sigmas of the volume, else 0."""
        nearest, reach = np.floor(self.voxels(xyz) + 0.5), _REACH * self.sigma
        is_near = ((nearest >= -reach) & (nearest <= np.array(self.sides) - 1 + reach)).all(axis=-1)
        return np.asarray(is_near & labelled, dtype=np.float32)

    def decode_volumes(self, maps: Float[np.ndarray, "B channels h w"]) -> DecodedVolumes:
        """Return the keypoints of a network's maps, one for each keypoint, however low."""
        volumes = self.volumes(maps)
        batch, count, depth, height, width = volumes.shape
        pixel, score = highest_pixels(volumes.reshape(batch, count, depth * height, width))
        x, row = np.moveaxis(pixel, -1, 0)
        highest = np.stack([x, row % height, row // height], axis=-1).astype(np.float64)
        if self.decoding == "argmax":
            return DecodedVolumes(self.positions(highest), score)
        volumes = np.where(np.isfinite(volumes), volumes, 0)
        if self.temperature is None:
            mean, is_bump = gaussian_mean(volumes, self.sigma), score > LOWEST
        else:
            mean, is_bump = soft_argmax(volumes, self.temperature), np.isfinite(score)
        is_mean = is_bump[..., None] & np.isfinite(mean)
        return DecodedVolumes(self.positions(np.where(is_mean, mean, highest)), score)

    def decode(self, outputs: Outputs) -> DecodedKeypoints:
        """Return x and y, in crop pixels, of the keypoints of the last stage."""
        decoded = self.decode_volumes(outputs.heatmaps[-1])
        return DecodedKeypoints(decoded.xyz[..., :2], decoded.score)

    def average_flipped(self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"]) -> Outputs:
        """Average a crop's volumes with those of its mirror image, flipped back, at every stage; depths stay."""
        means = []
        for maps, mirror in zip(outputs.heatmaps, mirrored.heatmaps, strict=True):
            channels = (flip_index[:, None] * self.depth + np.arange(self.depth)).ravel()
            means.append((maps + flip_back(mirror, channels, self.plane.flip_shift)) / 2)
        return replace(outputs, heatmaps=means)
