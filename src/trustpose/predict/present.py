"""Which people of a photo a predictor returns: those whose presence is high enough, each once."""

import numpy as np

from trustpose.grouping.suppression import suppress
from trustpose.poses import Poses

DOUBLE_OKS = 0.7
"""OKS, over the boxes' areas, above which the lower-ranked of two poses is left out. In 1,374 photos of COCO `train` no
two people that were both labelled reach .5 (docs/benchmarks/presence.md)."""


def present_people(poses: Poses, min_presence: float) -> Poses:
    """Return the people with a presence of at least `min_presence`, without doubles: of two poses with an OKS above
    `DOUBLE_OKS` only the one that ranks higher. Keypoints are never left out.

    Poses without presence, or a `min_presence` of 0, keep everybody.
    """
    if poses.presence is None or not len(poses) or min_presence <= 0:
        return poses
    is_present = ~(poses.presence < min_presence)  # NaN: not known, and so kept
    if not is_present.all():
        poses = poses[np.flatnonzero(is_present)]
    skeleton = poses.skeleton
    if len(poses) < 2 or skeleton is None or not skeleton.has_sigmas:
        return poses
    single = suppress(
        poses, poses.ranking_score, method="oks-nms", threshold=DOUBLE_OKS, sigmas=skeleton.sigmas, area="box"
    )
    return poses if single.kept.all() else poses[np.flatnonzero(single.kept)]
