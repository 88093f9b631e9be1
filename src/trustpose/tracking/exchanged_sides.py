"""Frames of a track in which left and right are exchanged, arms and legs apart.

An estimator that takes the left leg for the right one for some frames makes both legs jump twice. In each frame the
sides may be as they are or exchanged; the sequence in which all joints move most evenly is found by dynamic programming
(Viterbi). A joint is expected where the two frames before put it, with most of its velocity; the distance from there is
judged by its expected errors and by how unevenly the joints of this track usually move, and an exchange costs as much
as it is rare. The sides that most frames of a track have count as right: which they are, frames alone cannot say.
"""

import numpy as np
from jaxtyping import Bool, Float

from trustpose.geometry.expected_error import expected_error
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton
from trustpose.tracking.paths import Paths

GROUPS = {"arms": ("elbow", "wrist"), "legs": ("knee", "ankle")}
"""Joints whose sides are exchanged together."""
COST = 8.0  # −log of the probability that the sides change from a frame to the next
STAYING = 2.0  # the same for each further frame with exchanged sides: they are few
_VELOCITY = 0.7  # of a joint's velocity that it keeps to the next frame
_FARTHEST = 16.0  # squared distance, in variances, above which joints are equally far
_JITTER = 0.25  # of a joint's expected variance that changes from frame to frame
_LONGEST_GAP = 3.0  # frames, beyond which both frames before say nothing


def exchanged_sides(poses: Poses, paths: Paths, skeleton: Skeleton) -> dict[str, Bool[np.ndarray, " N"]]:
    """Return, for arms and legs, in which of N poses left and right are exchanged with respect to their track.

    Args:
        poses: N people.
        paths: their tracks in order, without rows for frames in which a track was not found.
        skeleton: of their joints; groups without both sides' joints are left out.
    """
    error = expected_error(poses, skeleton)
    exchanged = {}
    for group, joints in GROUPS.items():
        names = [(f"left_{joint}", f"right_{joint}") for joint in joints]
        if not all({*pair} <= {*skeleton.keypoints} for pair in names):
            continue
        index = np.array([[skeleton.index(name) for name in pair] for pair in names])  # (J, 2)
        xy = poses.xy[:, index]  # (N, J, 2 sides, 2)
        variance = np.zeros(xy.shape[:3]) if error is None else np.nan_to_num(error.std[:, index] ** 2)
        if poses.missing is not None:
            xy = np.where(poses.missing[:, index, None], np.nan, xy)
        is_exchanged = np.zeros(len(poses), np.bool_)
        starts = np.flatnonzero(np.r_[True, np.diff(paths.track) != 0]) if len(paths) else []
        for start, end in zip(starts, np.r_[starts[1:], len(paths)], strict=True):
            rows, time = paths.row[start:end], paths.time[start:end]
            for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(time) > _LONGEST_GAP) + 1):
                is_exchanged[rows[part]] = _exchanged(xy[rows[part]], variance[rows[part]])
        exchanged[group] = is_exchanged
    return exchanged


def _exchanged(xy: Float[np.ndarray, "T J 2 2"], variance: Float[np.ndarray, "T J 2"]) -> Bool[np.ndarray, " T"]:
    """Return in which frames of a track the sides are exchanged."""
    count = len(xy)
    if count < 4:
        return np.zeros(count, np.bool_)
    both = np.stack([xy, xy[:, :, ::-1]])  # (state, T, J, side, 2)
    states = [(before, current, after) for before in (0, 1) for current in (0, 1) for after in (0, 1)]
    square = np.empty((8, count - 2, *xy.shape[1:3]))
    for number, (before, current, after) in enumerate(states):
        expected = both[current, 1:-1] + _VELOCITY * (both[current, 1:-1] - both[before, :-2])
        square[number] = ((both[after, 2:] - expected) ** 2).sum(axis=-1)
    around = (variance[2:] + (1 + _VELOCITY) ** 2 * variance[1:-1] + _VELOCITY**2 * variance[:-2])[None]
    around = np.concatenate([around, around[..., ::-1]])  # of the sides as they are, and exchanged
    noise = _JITTER * around[[after for _, _, after in states]]
    best = np.nanmin(np.where(np.isnan(square), np.inf, square), axis=0)
    uneven = np.median(best[np.isfinite(best)]) if np.isfinite(best).any() else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = square / np.maximum(noise + uneven, 1e-9)
    costs = np.nan_to_num(np.minimum(ratio, _FARTHEST), nan=0.0).sum(axis=(2, 3)) / 2  # (8, T − 2)
    return _least(costs.reshape(2, 2, 2, -1))


def _least(costs: Float[np.ndarray, "2 2 2 T"]) -> Bool[np.ndarray, " T2"]:
    """Return the states of T + 2 frames of the least sum of costs of three successive states each, a change of state
    costing `COST`; the state of most frames is called 0."""
    change = np.array([[0.0, COST + STAYING], [COST, STAYING]])
    total = change.copy()  # of the last two states
    came_from = []
    for t in range(costs.shape[3]):
        candidates = total[:, :, None] + costs[:, :, :, t] + change[None]  # (before, current, after)
        came_from.append(candidates.argmin(axis=0))
        total = candidates.min(axis=0)
    current, after = np.unravel_index(int(total.argmin()), (2, 2))
    states: list[int] = [int(after), int(current)]
    for back in reversed(came_from):
        current, after = back[current, after], current
        states.append(int(current))
    is_exchanged = np.array(states[::-1], dtype=np.bool_)
    return ~is_exchanged if is_exchanged.mean() > 0.5 else is_exchanged
