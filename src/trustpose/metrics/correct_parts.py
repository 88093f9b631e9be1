"""PCP, the percentage of correct parts: limbs found, strictly or loosely.

A limb is found if its predicted ends are close to its labelled ends, measured in lengths of the labelled limb
(Ferrari et al., Progressive Search Space Reduction for Human Pose Estimation, CVPR 2008; at most half in use).

- strict: each of the two ends is within the fraction; what the lecture and DeepPose, section 4.1 define.
- loose: the mean of the two ends' distances is within the fraction, so that one end may be farther off. Pishchulin et
  al., Articulated People Detection and Pose Estimation: Reshaping the Future, CVPR 2012, tell the two apart.

What counts: a limb whose ends are labelled and apart. A limb with an unlabelled end never counts; one with a NaN or
infinite prediction at an end is missed. Ends are not exchangeable: a limb predicted the wrong way round is missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from trustpose.metrics.localisation import CorrectJoints, correct_joints
from trustpose.skeletons import Skeleton

Rule = Literal["strict", "loose"]


@dataclass(frozen=True)
class Limb:
    """A limb by joint indices; an end of several joints lies at their mean, and is labelled if all are."""

    name: str
    start: tuple[int, ...]
    end: tuple[int, ...]


def body_limbs(skeleton: Skeleton) -> tuple[Limb, ...]:
    """Return the limbs of PCP that a skeleton's joints allow: upper and lower arms and legs, torso and head.

    The torso runs between the middles of the shoulders and of the hips; the head from the neck to the top of the head
    where the skeleton has both (LSP, MPII). Ten limbs on LSP and MPII, five on FLIC.
    """
    ends = [
        (f"{side}_{name}", (f"{side}_{start}",), (f"{side}_{end}",))
        for name, start, end in (
            ("upper_arm", "shoulder", "elbow"),
            ("lower_arm", "elbow", "wrist"),
            ("upper_leg", "hip", "knee"),
            ("lower_leg", "knee", "ankle"),
        )
        for side in ("left", "right")
    ]
    ends += [("torso", ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))]
    ends += [("head", (neck,), (top,)) for neck, top in (("neck", "head_top"), ("upper_neck", "head_top"))]
    ends += [("head", ("neck",), ("head",))]
    joints = set(skeleton.keypoints)
    return tuple(
        Limb(name, tuple(map(skeleton.index, start)), tuple(map(skeleton.index, end)))
        for name, start, end in ends
        if joints.issuperset(start + end)
    )


def limb_distance(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    limbs: Sequence[Limb],
    rule: Rule = "strict",
    *,
    lengths: Float[np.ndarray, "N L"] | None = None,
) -> Float[np.ndarray, "N L"]:
    """Return each limb's error in limb lengths: of its worse end (strict), or the mean of both (loose).

    NaN where the limb does not count, infinity where an end has no prediction; `correct_joints` at 0.5 gives PCP, and
    at several fractions its curve. `lengths` (N, L) in pixels replaces each person's own: PCPm of Andriluka et al.,
    CVPR 2014, uses each limb's mean over the test set. Raises ValueError for another rule.
    """
    if rule not in ("strict", "loose"):
        raise ValueError(f"rule: expected 'strict' or 'loose', got {rule!r}")
    both = []
    for side in ([limb.start for limb in limbs], [limb.end for limb in limbs]):
        limb_end = np.stack([xy[:, list(joints)].mean(axis=1) for joints in side], axis=1)  # (N, L, 2)
        limb_end = np.where(np.isfinite(limb_end).all(axis=2, keepdims=True), limb_end, np.inf)
        both.append(np.linalg.norm(limb_end - _true_ends(true_xy, labelled, side), axis=2))
    length = limb_lengths(true_xy, labelled, limbs) if lengths is None else lengths
    error = np.maximum(*both) if rule == "strict" else (both[0] + both[1]) / 2
    counts = np.isfinite(limb_lengths(true_xy, labelled, limbs)) & np.isfinite(length) & (length > 0)
    return np.divide(error, length, out=np.full(error.shape, np.nan), where=counts)


def limb_lengths(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], limbs: Sequence[Limb]
) -> Float[np.ndarray, "N L"]:
    """Return the labelled limbs' lengths (N, L) in pixels; NaN where an end is unlabelled or both are one point."""
    start = _true_ends(xy, labelled, [limb.start for limb in limbs])
    end = _true_ends(xy, labelled, [limb.end for limb in limbs])
    has = np.stack([labelled[:, [*limb.start, *limb.end]].all(axis=1) for limb in limbs], axis=1)
    length = np.linalg.norm(end - start, axis=2)
    return np.where(has & (length > 0), length, np.nan)


def pcp(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    limbs: Sequence[Limb],
    rule: Rule = "strict",
    fraction: float = 0.5,
) -> Float[np.ndarray, " L"]:
    """Return the share (L,) of each limb that is found, 0–1; NaN for a limb that never counts."""
    return parts_found(xy, true_xy, labelled, limbs, rule, fraction).rate[0]


def parts_found(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    limbs: Sequence[Limb],
    rule: Rule = "strict",
    fractions: float | Sequence[float] | Float[np.ndarray, " T"] = 0.5,
) -> CorrectJoints:
    """Count the limbs found at each fraction, in the columns of a `CorrectJoints`, for means, totals and curves."""
    return correct_joints(limb_distance(xy, true_xy, labelled, limbs, rule), fractions)


def limb_groups(limbs: Sequence[Limb]) -> dict[str, tuple[int, ...]]:
    """Return limbs by name, left and right together: {"upper_arm": (0, 1), …}, for `CorrectJoints.joined`."""
    groups: dict[str, tuple[int, ...]] = {}
    for index, limb in enumerate(limbs):
        name = limb.name.removeprefix("left_").removeprefix("right_")
        groups[name] = (*groups.get(name, ()), index)
    return groups


def _true_ends(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], ends: Sequence[tuple[int, ...]]
) -> Float[np.ndarray, "N L 2"]:
    """Return the labelled ends (N, L, 2) of all limbs; unlabelled joints lie at 0 and are masked by the caller."""
    xy = np.where(labelled[..., None], xy, 0.0)
    return np.stack([xy[:, list(joints)].mean(axis=1) for joints in ends], axis=1)
