"""Correct joints: PCK and its relatives PCKh, PDJ and FCK, with curves and the area under them.

They are one rule with different reference lengths (`metrics.reference_lengths`): a joint is correct if its distance to
the labelled place is at most a fraction of the reference length.

- PCK, percentage of correct keypoints: max(h, w) of the person's box (Yang & Ramanan, PAMI 2013), or the
  torso diameter, as usual on LSP (Wei et al., Convolutional Pose Machines, CVPR 2016, section 4.2: PCK@0.2).
- PCKh: the head size, @0.5 (Andriluka et al., CVPR 2014).
- PDJ, percentage of detected joints: the torso diameter, as a curve over fractions (Sapp & Taskar, MODEC, CVPR 2013;
  Toshev & Szegedy, DeepPose, CVPR 2014, section 4.1).
- FCK, the lecture's name for the FLIC table of Tompson et al., Efficient Object Localization Using Convolutional
  Networks, CVPR 2015 (there "PCK @ 0.05"): the torso diameter and 0.05.

What counts: a joint that is labelled, of a person whose reference length is known. An unlabelled joint never counts.
A labelled joint whose prediction is NaN or infinite, or which the estimator dropped, is wrong at every fraction; so
leaving out difficult joints never helps. "At most" includes equality, as in MPII's toolkit; mmpose excludes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.metrics.bootstrap import replicate_sums, sums_by_group
from trustpose.skeletons import Skeleton

_TABLE = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def normalised_distance(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    reference: Float[np.ndarray, " N"],
) -> Float[np.ndarray, "N K"]:
    """Return each joint's distance to its label / the person's reference length (pixels, both).

    NaN where nothing counts: the joint is unlabelled, or the reference is NaN, infinite or not above 0. Infinity where
    a joint that counts has no finite prediction.
    """
    counts = labelled & (np.isfinite(reference) & (reference > 0))[:, None]
    true_xy = np.where(counts[..., None], true_xy, 0.0)
    xy = np.where(np.isfinite(xy).all(axis=2, keepdims=True), xy, np.inf)
    distance = np.hypot(xy[..., 0] - true_xy[..., 0], xy[..., 1] - true_xy[..., 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts, distance / reference[:, None], np.nan)


@dataclass(frozen=True, eq=False)
class CorrectJoints:
    """How many of the joints that count are correct at each of T fractions: `correct` (T, K) of `count` (K,)."""

    fractions: Float[np.ndarray, " T"]
    correct: Int[np.ndarray, "T K"]
    count: Int[np.ndarray, " K"]

    @property
    def rate(self) -> Float[np.ndarray, "T K"]:
        """Share of correct joints, 0–1; NaN for a joint that is never labelled."""
        return _share(self.correct, self.count)

    def pooled(self, joints: Sequence[int] | None = None) -> Float[np.ndarray, " T"]:
        """Return the share (T,) over all labelled joints together (of those given by index): MPII's "total"."""
        of = slice(None) if joints is None else list(joints)
        return _share(self.correct[:, of].sum(axis=1), self.count[of].sum())

    def mean(self, joints: Sequence[int] | None = None) -> Float[np.ndarray, " T"]:
        """Return the mean (T,) of the joints' own shares; joints that are never labelled are left out."""
        rate = self.rate[:, slice(None) if joints is None else list(joints)]
        has_rate = ~np.isnan(rate)
        return _share(np.where(has_rate, rate, 0.0).sum(axis=1), has_rate.sum(axis=1))

    def joined(self, groups: Mapping[str, Sequence[int]]) -> dict[str, Float[np.ndarray, " T"]]:
        """Return `mean` of each group of joints (`left_right_groups`), as papers join left and right."""
        return {name: self.mean(joints) for name, joints in groups.items()}


def correct_joints(
    distance: Float[np.ndarray, "N K"], fractions: float | Sequence[float] | Float[np.ndarray, " T"]
) -> CorrectJoints:
    """Count the joints within each fraction of their reference length, from `normalised_distance`.

    Raises ValueError for a fraction that is negative or not a number.
    """
    limits = np.atleast_1d(np.asarray(fractions, dtype=np.float64))
    if limits.ndim != 1 or not (limits >= 0).all():
        raise ValueError(f"fractions: expected numbers of at least 0, got {fractions}")
    columns = np.sort(distance, axis=0).T  # NaN last
    count = np.count_nonzero(~np.isnan(distance), axis=0).astype(np.int64)
    correct = np.zeros((len(limits), len(count)), dtype=np.int64)
    for joint, (column, row_count) in enumerate(zip(columns, count, strict=True)):
        correct[:, joint] = np.searchsorted(column[:row_count], limits, side="right")
    return CorrectJoints(limits, correct, count)


def pck(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    reference: Float[np.ndarray, " N"],
    fraction: float,
) -> Float[np.ndarray, " K"]:
    """Return each joint's share (K,) of correct predictions at one fraction of the reference length, 0–1, NaN for a
    joint that never counts. PCK, PCKh, PDJ or FCK by the reference length: see the module."""
    return correct_joints(normalised_distance(xy, true_xy, labelled, reference), fraction).rate[0]


def area_under_curve(fractions: Float[np.ndarray, " T"], rate: Float[np.ndarray, " T"]) -> float:
    """Return the mean height of a curve of shares over its fractions, by the trapezoidal rule, 0–1.

    MPII's toolkit prints it for the pooled PCKh at 0, 0.01 … 0.5. Raises ValueError unless the fractions ascend.
    """
    steps = np.diff(fractions)
    if len(fractions) < 2 or not (steps > 0).all():
        raise ValueError(f"fractions: expected two or more in ascending order, got {fractions}")
    return float((steps * (rate[1:] + rate[:-1]) / 2).sum() / (fractions[-1] - fractions[0]))


def left_right_groups(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Return joints by name, left and right together: {"shoulder": (12, 13), …, "neck": (8,)}, in skeleton order."""
    mirror = dict(skeleton.flip_pairs) | {right_joint: left_joint for left_joint, right_joint in skeleton.flip_pairs}
    groups: dict[str, tuple[int, ...]] = {}
    for joint, name in enumerate(skeleton.keypoints):
        mirrored = mirror.get(joint)
        if mirrored is None:
            groups[name] = (joint,)
        elif joint < mirrored:
            joined = name.replace("left_", "", 1).replace("right_", "", 1)
            groups[name if joined in skeleton.keypoints else joined] = (joint, mirrored)
    return groups


def table_groups(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Return the columns of the usual tables: `left_right_groups`, but the neck and the top of the head together as the
    head, and without pelvis and thorax, where the skeleton has a top of the head.

    So MPII's toolkit and the tables on LSP have it: head, shoulder, elbow, wrist, hip, knee, ankle. MPII's total pools
    these fourteen joints.
    """
    groups = left_right_groups(skeleton)
    neck = next((name for name in ("upper_neck", "neck") if name in groups), None)
    if neck is None or "head_top" not in groups:
        return groups
    head = (*groups[neck], *groups["head_top"])
    left_out = (neck, "head_top", "pelvis", "thorax")
    groups = {"head": head} | {name: joints for name, joints in groups.items() if name not in left_out}
    return {name: groups.pop(name) for name in _TABLE if name in groups} | groups


def replicate_correct(
    counts: Int[np.ndarray, "B I"],
    distance: Float[np.ndarray, "N K"],
    fraction: float,
    image: Int[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, "B K"], Float[np.ndarray, "B K"]]:
    """Return the number of correct joints and of joints that count in every draw of `bootstrap.resample_counts`.

    image: each row's image, 0 … I − 1; to draw people, every person has a number of its own.
    """
    both = np.stack([distance <= fraction, ~np.isnan(distance)], axis=1).astype(np.int8)  # (N, 2, K)
    sums = replicate_sums(counts, sums_by_group(both, image, counts.shape[1]))
    return sums[:, 0], sums[:, 1]


def _share(correct: np.ndarray | float, count: np.ndarray | float) -> np.ndarray:
    correct, count = np.broadcast_arrays(np.asarray(correct, np.float64), np.asarray(count, np.float64))
    return np.divide(correct, count, out=np.full(correct.shape, np.nan), where=count > 0)
