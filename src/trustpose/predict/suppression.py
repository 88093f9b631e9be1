"""Suppression of duplicate poses: `grouping.suppression` with bound options."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.grouping.overlap import check_area
from trustpose.grouping.suppression import Suppressed, check_threshold
from trustpose.grouping.suppression import suppress as run
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

Suppress = Callable[[Poses, np.ndarray], Suppressed]


def suppressor(
    method: str, threshold: float, area: str, skeleton: Skeleton, in_vis_threshold: float | None = None
) -> Suppress:
    """Return `grouping.suppression.suppress` for poses of one skeleton, with the given options bound.

    Raises InputError for an unknown name, a threshold out of range or a skeleton without sigmas; the returned function
    raises it for poses that lack required fields.
    """
    try:
        check_threshold(method, threshold)
        check_area(area)
        sigmas = skeleton.sigmas
    except ValueError as error:
        raise InputError(f"suppression: {error}") from None
    named: dict[str, Any] = {"method": method, "area": area}

    def how(poses: Poses, score: np.ndarray) -> Suppressed:
        try:
            return run(poses, score, threshold=threshold, sigmas=sigmas, in_vis_threshold=in_vis_threshold, **named)
        except ValueError as error:
            raise InputError(f"suppression: {error}") from None

    return how


def suppressed(poses: Poses, suppress: Suppress) -> Poses:
    """Return the remaining poses, with their new ranking score as `suppressed_score`."""
    if not len(poses):
        return poses
    found = suppress(poses, poses.ranking_score)
    return replace(poses, suppressed_score=found.score)[found.kept]
