"""What trust says of each label: the density of its position, the probability of its v, and how unlikely both are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.expected_error import area_of_person, expected_error, quality_if_labelled
from trustpose.metrics.matching import pair_with_people, same_image_pairs
from trustpose.poses import ExpectedError, Poses, Truth
from trustpose.skeletons import Skeleton

_SMALLEST = 1e-4  # of a probability of v: calibrators see too few people to be surer
_MOST = 10.0  # of −log probabilities in the context, so that an absurd label does not hide the others
_NEAREST = 0.05  # distance in units of s k, below which all are alike
_REACH = 1.25  # two people are near if their boxes, enlarged by this, overlap


@dataclass(frozen=True, eq=False)
class Evidence:
    """M labelled people and the pose of each, row by row.

    Attributes:
        truth: the people, all with a labelled keypoint.
        poses: the estimate of each person, with trust.
        skeleton: of both.
        error: the error that is expected of the estimate, image pixels (M, K).
        scale: s k of OKS (M, K), image pixels.
        chance: the probability of v = 0, 1, 2 (M, K, 3).
        quality: expected OPKS if labelled (M, K).
    """

    truth: Truth
    poses: Poses
    skeleton: Skeleton
    error: ExpectedError
    scale: Float[np.ndarray, "M K"]
    chance: Float[np.ndarray, "M K 3"]
    quality: Float[np.ndarray, "M K"]

    @classmethod
    def of(cls, truth: Truth, poses: Poses, skeleton: Skeleton) -> "Evidence":
        """Pair N poses with people, by `annotation_id` where both have it, otherwise by box; the best pose of several.

        Left out are people without a pose or a labelled keypoint, crowds, and poses whose trust is unknown. Raises
        ValueError for poses without `quality` or `visibility`, and as `pair_with_people` does.
        """
        if poses.quality is None or poses.visibility is None:
            raise ValueError("poses: expected quality and visibility")
        person = pair_with_people(poses, truth)
        is_used = person >= 0
        is_used[is_used] &= ((truth.v > 0).any(axis=1) & ~np.asarray(truth.iscrowd))[person[is_used]]
        is_used &= np.isfinite(poses.quality).all(axis=1) & np.isfinite(poses.visibility).all(axis=(1, 2))
        is_used &= area_of_person(poses) > 0
        rows = np.flatnonzero(is_used)
        rows = rows[np.lexsort((-np.nanmean(poses.quality[rows], axis=1), person[rows]))]
        rows = rows[np.diff(person[rows], prepend=-1) > 0]
        truth, poses = truth[person[rows]], poses[rows]
        error, quality = expected_error(poses, skeleton), quality_if_labelled(poses)
        assert error is not None and quality is not None and poses.visibility is not None
        scale = np.sqrt(area_of_person(poses))[:, None] * 2 * skeleton.sigmas
        chance = np.maximum(poses.visibility.astype(np.float64), _SMALLEST)
        return cls(truth, poses, skeleton, error, scale, chance / chance.sum(axis=2, keepdims=True), quality)

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, rows: Int[np.ndarray, " R"]) -> "Evidence":
        """Return some of the people."""
        columns = self.error[rows], self.scale[rows], self.chance[rows], self.quality[rows]
        return Evidence(self.truth[rows], self.poses[rows], self.skeleton, *columns)

    @cached_property
    def labelled(self) -> Bool[np.ndarray, "M K"]:
        """Whether a keypoint is labelled and the estimate has a position for it."""
        return (self.truth.v > 0) & np.isfinite(self.error.std) & np.isfinite(self.poses.xy).all(axis=2)

    @cached_property
    def distance(self) -> Float[np.ndarray, "M K"]:
        """From the estimate to the label, image pixels, whether labelled or not."""
        return np.linalg.norm(self.truth.xy - self.poses.xy.astype(np.float64), axis=2)

    @cached_property
    def log_density(self) -> Float[np.ndarray, "M K"]:
        """The log density of the labelled position if the label is right, per square pixel."""
        return log_density(self.error, self.distance)

    @cached_property
    def log_chance(self) -> Float[np.ndarray, "M K"]:
        """The log probability of the labelled v."""
        return np.log(np.take_along_axis(self.chance, self.truth.v[..., None], axis=2)[..., 0])

    @cached_property
    def near(self) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
        """Pairs of people near each other in a photo, both ways round."""
        image = self.truth.image_id
        assert image is not None
        first, second = same_image_pairs(image, image)
        box = self.poses.person_box().astype(np.float64)
        centre, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2 * _REACH
        apart = np.abs(centre[first] - centre[second]) - half[first] - half[second]
        is_near = (first != second) & (apart < 0).all(axis=1)
        return first[is_near], second[is_near]

    @cached_property
    def context(self) -> Float[np.ndarray, "M K C"]:
        """What is known of a label besides a hypothesis' ratio, see `CONTEXT`."""
        quality = np.clip(np.nan_to_num(self.quality, nan=0.01), 0.01, 0.99)
        surprise = np.minimum(self.error.depth_within(self.distance), _MOST)
        surprise = np.where(self.labelled, surprise, 0)
        of_v = np.minimum(-self.log_chance, _MOST)
        columns = (
            np.log(quality / (1 - quality)),
            np.log((1 - self.chance[..., 0]) / self.chance[..., 0]),
            np.log(self.chance[..., 1] / self.chance[..., 2]),
            np.where(self.labelled, np.log(np.maximum(self.distance / self.scale, _NEAREST)), 0),
            surprise,
            _mean_of_others(surprise, self.labelled),
            _mean_of_others(of_v, np.ones_like(self.labelled)),
        )
        return np.stack(columns, axis=2)


CONTEXT = ("quality", "labelled", "occluded", "distance", "surprise", "surprise of others", "v of others")
"""Columns of `Evidence.context`: log odds of the expected OPKS if labelled, of being labelled, of occluded against
visible; log distance from the estimate to the label in units of s k, and −log probability of an error as large (both 0
if unlabelled), and the mean of the latter over the person's other labels; −log probability of v, mean of the others."""


def log_density(error: ExpectedError, distance: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """Return the log density, per square pixel, of a position this far from the estimate, of the expected mixture."""
    return log_mixture(error, distance, 0.0)


def log_mixture(
    error: ExpectedError, distance: Float[np.ndarray, "*S"], shift: Float[np.ndarray, "*S"] | float
) -> Float[np.ndarray, "*S"]:
    """Return the same, of a position that is off by a Gaussian of standard deviation `shift` (pixels) besides."""
    with np.errstate(divide="ignore"):
        parts = (np.log1p(-error.gross), error.std), (np.log(error.gross), error.gross_std)
    terms = []
    for log_weight, std in parts:
        variance = std**2 + np.square(shift)
        terms.append(log_weight - np.log(2 * np.pi * variance) - distance**2 / (2 * variance))
    return np.logaddexp(*terms)


def _mean_of_others(values: Float[np.ndarray, "M K"], counted: Bool[np.ndarray, "M K"]) -> Float[np.ndarray, "M K"]:
    """Return for each keypoint the mean over the person's other counted keypoints, 0 without any."""
    counted_values = np.where(counted, values, 0)
    total = counted_values.sum(axis=1, keepdims=True) - counted_values
    count = counted.sum(axis=1, keepdims=True) - counted
    return total / np.maximum(count, 1)
