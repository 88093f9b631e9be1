"""Poses as plain JSON for the page's drawings."""

from typing import Any

import numpy as np

from trustpose.geometry.expected_error import expected_error
from trustpose.poses import MISSING_ID, Poses
from trustpose.report.numbers import has_visible_joint, person_labels, person_numbers
from trustpose.report.palettes import LEFT, limb_sides, sides
from trustpose.skeletons import Skeleton

_PLACES = 3  # decimals


def skeleton_json(skeleton: Skeleton) -> dict[str, Any]:
    """Return the joints' names and the limbs, pairs of their indices, and which of either are on the left."""
    return {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "limbs": [list(edge) for edge in skeleton.edges],
        "left": (sides(skeleton) == LEFT).tolist(),
        "left_limbs": (limb_sides(skeleton) == LEFT).tolist(),
    }


def people_json(poses: Poses) -> list[dict[str, Any]]:
    """Return one object per pose, the best-ranked first: the numbers that the results file has for it, the `number` of
    the person in drawings and texts, and whether a joint of it `is_seen`.

    A joint is {"xy", "score", "quality", "visibility", "error", "decided"}: image pixels, raw score, expected OPKS,
    P(absent), P(occluded), P(visible), the expected error, its median in pixels, and absent, occluded or visible as 0,
    1, 2, as drawings show it. What is unknown is null; `xy` is null for a missing joint.
    """
    error = expected_error(poses)
    columns = {
        "score": poses.score,
        "quality": poses.quality,
        "visibility": poses.visibility,
        "error": None if error is None else error.median,
        "decided": poses.decided_visibility,
    }
    numbers, labels, seen = person_numbers(poses), person_labels(poses), has_visible_joint(poses)
    xy = poses.xy.astype(np.float64).copy()
    if poses.missing is not None:
        xy[poses.missing] = np.nan
    whole = {"score": poses.ranking_score, "presence": poses.presence, "expected_oks": poses.pose_quality}
    whole |= {"box_score": poses.box_score}
    people = []
    for row in np.argsort(-poses.ranking_score, kind="stable").tolist():
        joints = [
            {"xy": _plain(xy[row, joint])}
            | {name: None if column is None else _plain(column[row, joint]) for name, column in columns.items()}
            for joint in range(poses.keypoint_count)
        ]
        person = {name: None if column is None else _plain(column[row]) for name, column in whole.items()}
        person["is_seen"] = bool(seen[row])
        person["box"] = None if poses.box is None else _plain(poses.box[row])
        number = int(numbers[row])
        person |= {"number": None if number == MISSING_ID else number, "label": labels[row]}
        people.append(person | {"joints": joints})
    return people


def _plain(value: Any) -> Any:
    """Round a number or an array; None if it is not finite."""
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        return None
    return np.round(array, _PLACES).tolist()
