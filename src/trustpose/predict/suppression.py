"""Several poses on one person: `grouping.suppression` with its options bound."""

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
    """The suppression of poses of one skeleton, as `grouping.suppression.suppress` with what is given bound.

    Raises InputError where a name is unknown, the threshold outside its range or the skeleton without sigmas; what it
    returns raises it where poses lack what is needed.
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
    """The poses that are left, with the score that they are ranked by from now on as `suppressed_score`."""
    if not len(poses):
        return poses
    found = suppress(poses, poses.ranking_score)
    return replace(poses, suppressed_score=found.score)[found.kept]
