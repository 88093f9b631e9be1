"""Describe poses with trust in a paragraph: which keypoints are reliable, which are not, and why."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from trustpose.poses import MISSING_ID, Poses, Visibility
from trustpose.report.scene import has_tracks, has_visible_joint, person_numbers, skeleton_to_show
from trustpose.skeletons import Skeleton

TRUSTED = 0.75  # minimum expected OPKS of a keypoint called reliable
DOUBTED = 0.5  # a keypoint below is called unreliable
_MAX_PEOPLE = 3  # described by a sentence each


def read_out(poses: Poses, skeleton: Skeleton | None = None) -> str:
    """Return one paragraph on the poses of a photo, most trusted people first. Missing keypoints, poses without a
    visible joint and poses without trust are mentioned. Of several people, each has the number that drawings show
    (`report.scene.person_numbers`).

    Names are those of `skeleton` (default: `poses.skeleton`). Raises ValueError if neither is known or the two have
    different joints.
    """
    skeleton = skeleton_to_show(poses, skeleton)
    if not len(poses):
        return "Nobody was found."
    if poses.quality is None or poses.visibility is None or poses.pose_quality is None:
        lost = 0 if poses.missing is None else int(poses.missing.sum())
        missing_text = (
            f", {lost} of {poses.missing.size} keypoints were not" if poses.missing is not None and lost else ""
        )
        return f"{_people(len(poses))}{missing_text}; this network predicts no trust."
    is_seen, numbers = has_visible_joint(poses), person_numbers(poses)
    if not is_seen.any():
        return f"Nobody was found: {_unseen(len(poses), '')}."
    order = np.argsort(-poses.ranking_score, kind="stable")
    order = order[is_seen[order]]
    is_one = len(poses) == 1 and not has_tracks(poses)
    names = ["The person"] if is_one else [_name(number) for number in numbers.tolist()]
    sentences = [_person(poses[int(row)], skeleton, names[row]) for row in order[:_MAX_PEOPLE]]
    rest = poses.pose_quality[order[_MAX_PEOPLE:]]
    if len(rest) == 1:
        sentences.append(f"{names[order[-1]]} has an expected OKS of {rest[0]:.2f}.")
    elif len(rest):
        sentences.append(f"The other {len(rest)} have an expected OKS of {rest.min():.2f} to {rest.max():.2f}.")
    if unseen := int((~is_seen).sum()):
        sentences.append(f"{_unseen(unseen, ' more')}: there may be nobody.".capitalize())
    return f"{_people(len(order))}. " + " ".join(sentences)


def _unseen(count: int, more: str) -> str:
    return f"one{more} pose has no visible joint" if count == 1 else f"{count}{more} poses have no visible joint"


def _name(number: int) -> str:
    return "A person without a track" if number == MISSING_ID else f"Person {number}"


def _person(pose: Poses, skeleton: Skeleton, name: str) -> str:
    """Describe one person (1 pose)."""
    assert pose.quality is not None and pose.visibility is not None and pose.pose_quality is not None
    quality, visibility, overall = pose.quality[0], pose.visibility[0], float(pose.pose_quality[0])
    decided = pose.decided_visibility
    assert decided is not None
    likeliest = decided[0]
    is_missing = np.zeros(len(quality), dtype=bool) if pose.missing is None else pose.missing[0]
    is_there = (likeliest != Visibility.ABSENT) & ~is_missing
    parts = {
        "reliable": is_there & (quality >= TRUSTED),
        "uncertain": is_there & (quality < TRUSTED) & (quality >= DOUBTED),
        "unreliable": is_there & (quality < DOUBTED),
        "occluded, position estimated": is_there & (likeliest == Visibility.OCCLUDED),
        "not visible": ~is_there & ~is_missing,
        "not found": is_missing,
    }
    listed = "; ".join(
        f"{state}: {join_names(has_state, skeleton.keypoints)}" for state, has_state in parts.items() if has_state.any()
    )
    doubt = _doubt(quality, visibility, is_there, skeleton)
    present = "" if pose.presence is None else f"is there with a probability of {pose.presence[0]:.2f} and "
    return f"{name} {present}has an expected OKS of {overall:.2f}, {_verdict(overall)} ({listed}).{doubt}"


def _verdict(overall: float) -> str:
    if overall >= TRUSTED:
        return "good enough for measurements"
    return "good enough for the posture" if overall >= DOUBTED else "unreliable as a whole"


def _doubt(
    quality: Float[np.ndarray, " K"], visibility: Float[np.ndarray, "K 3"], is_there: np.ndarray, skeleton: Skeleton
) -> str:
    """Return the reason why the least trusted visible or occluded keypoint is trusted least."""
    if not is_there.any() or quality[is_there].min() >= TRUSTED:
        return ""
    worst = int(np.where(is_there, quality, np.inf).argmin())
    absent, occluded, _ = visibility[worst].tolist()
    name = _plain_name(skeleton.keypoints[worst])
    reason = (
        f"it may not be visible at all ({absent:.0%})"
        if absent >= max(occluded, 0.25)
        else f"it {'is probably' if occluded > 0.5 else 'may be'} occluded ({occluded:.0%})"
        if occluded >= 0.25
        else "it is visible, but its position is uncertain"
    )
    return f" The least reliable is the {name}, with an expected OPKS of {quality[worst]:.2f}: {reason}."


def join_names(is_named: Bool[np.ndarray, " K"], names: Sequence[str]) -> str:
    """Join the names of the selected keypoints (K,) as in a sentence: "left elbow, both wrists"."""
    selected_names = [name for name, selected in zip(names, is_named, strict=True) if selected]
    if len(selected_names) == len(names):
        return "all keypoints"
    words: list[str] = []
    for name in selected_names:
        side, _, part = name.partition("_")
        mirror_name = {"left": f"right_{part}", "right": f"left_{part}"}.get(side)
        if mirror_name not in selected_names:
            words.append(_plain_name(name))
        elif side == "left":
            words.append(f"both {part.replace('_', ' ')}s")
    return ", ".join(words)


def _plain_name(name: str) -> str:
    return name.replace("_", " ")


def _people(count: int) -> str:
    return "One person was found" if count == 1 else f"{count} people were found"
