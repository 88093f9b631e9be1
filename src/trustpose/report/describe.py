"""Poses with trust in a paragraph: what can be relied on, what cannot, and why."""

import numpy as np
from jaxtyping import Float

from trustpose.poses import Poses, Visibility
from trustpose.skeletons import Skeleton, difference

TRUSTED = 0.75  # expected OPKS from which a keypoint is called reliable
DOUBTED = 0.5  # below which one is not to be relied on
_MOST_PEOPLE = 3  # that get a sentence of their own


def skeleton_to_show(poses: Poses, skeleton: Skeleton | None) -> Skeleton:
    """The skeleton given, or else that of the poses. Raises ValueError where there is none or it does not fit them."""
    shown = poses.skeleton if skeleton is None else skeleton
    if shown is None:
        raise ValueError("skeleton: the poses do not know theirs, expected one to be given")
    if poses.keypoint_count != len(shown):
        raise ValueError(f"skeleton: expected one of {poses.keypoint_count} keypoints, got {shown.name!r}")
    if differ := difference(poses.skeleton, shown):
        raise ValueError(f"skeleton: expected that of the poses, got different ones, {differ}")
    return shown


def read_out(poses: Poses, skeleton: Skeleton | None = None) -> str:
    """One paragraph on the poses of a photo, the most trusted people first. Poses without trust are said to have none,
    missing keypoints not to have been found.

    Names are those of `skeleton` (default: `poses.skeleton`). Raises ValueError where neither is known or both are of
    different joints.
    """
    skeleton = skeleton_to_show(poses, skeleton)
    if not len(poses):
        return "Nobody was found."
    if poses.quality is None or poses.visibility is None or poses.pose_quality is None:
        lost = 0 if poses.missing is None else int(poses.missing.sum())
        found = f", {lost} of {poses.missing.size} keypoints were not" if poses.missing is not None and lost else ""
        return f"{_people(len(poses))}{found}; this network does not say how far to trust it."
    order = np.argsort(-poses.pose_quality, kind="stable")
    said = [_person(poses[int(row)], skeleton, place) for place, row in enumerate(order[:_MOST_PEOPLE])]
    rest = poses.pose_quality[order[_MOST_PEOPLE:]]
    if len(rest):
        said.append(f"The other {len(rest)} have an expected OKS of {rest.min():.2f} to {rest.max():.2f}.")
    return f"{_people(len(poses))}. " + " ".join(said)


def _person(pose: Poses, skeleton: Skeleton, place: int) -> str:
    """The description of one person (1 pose)."""
    assert pose.quality is not None and pose.visibility is not None and pose.pose_quality is not None
    quality, visibility, overall = pose.quality[0], pose.visibility[0], float(pose.pose_quality[0])
    likeliest = visibility.argmax(axis=1)
    is_missing = np.zeros(len(quality), dtype=bool) if pose.missing is None else pose.missing[0]
    is_there = (likeliest != Visibility.ABSENT) & ~is_missing
    parts = {
        "to rely on": is_there & (quality >= TRUSTED),
        "uncertain": is_there & (quality < TRUSTED) & (quality >= DOUBTED),
        "not to rely on": is_there & (quality < DOUBTED),
        "hidden, placed by guess": is_there & (likeliest == Visibility.OCCLUDED),
        "not in the picture": ~is_there & ~is_missing,
        "not found": is_missing,
    }
    listed = "; ".join(f"{what}: {_names(where, skeleton)}" for what, where in parts.items() if where.any())
    who = ("The person" if place == 0 else "The next one") + f" has an expected OKS of {overall:.2f}"
    return f"{who}, {_verdict(overall)} ({listed}).{_doubt(quality, visibility, is_there, skeleton)}"


def _verdict(overall: float) -> str:
    if overall >= TRUSTED:
        return "good enough to measure with"
    return "good enough to see the posture" if overall >= DOUBTED else "not to be relied on as a whole"


def _doubt(
    quality: Float[np.ndarray, " K"], visibility: Float[np.ndarray, "K 3"], is_there: np.ndarray, skeleton: Skeleton
) -> str:
    """Why the least trusted of the keypoints that are there is trusted least."""
    if not is_there.any() or quality[is_there].min() >= TRUSTED:
        return ""
    worst = int(np.where(is_there, quality, np.inf).argmin())
    absent, occluded, _ = visibility[worst].tolist()
    name = _spoken(skeleton.keypoints[worst])
    reason = (
        f"it may not be in view at all ({absent:.0%})"
        if absent >= max(occluded, 0.25)
        else f"it is probably hidden ({occluded:.0%})"
        if occluded >= 0.25
        else "it is in view, but its place is unsure"
    )
    return f" Least sure is the {name}, with an expected OPKS of {quality[worst]:.2f}: {reason}."


def _names(where: np.ndarray, skeleton: Skeleton) -> str:
    """Names of keypoints; "both wrists" where left and right are named."""
    names = [name for name, is_named in zip(skeleton.keypoints, where, strict=True) if is_named]
    if len(names) == len(skeleton):
        return "all keypoints"
    spoken: list[str] = []
    for name in names:
        side, _, part = name.partition("_")
        other = {"left": f"right_{part}", "right": f"left_{part}"}.get(side)
        if other not in names:
            spoken.append(_spoken(name))
        elif side == "left":
            spoken.append(f"both {part.replace('_', ' ')}s")
    return ", ".join(spoken)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _people(count: int) -> str:
    return "One person was found" if count == 1 else f"{count} people were found"
