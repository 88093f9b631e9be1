"""What part affinity fields say of a group of joints once it is found: their values along all of its limbs.

Links that were never made count, too: between joints that two people's links brought into one group the fields point
elsewhere, and limbs that began no person (`grouping.paf`) are read as all others.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

COUNTS = 0.05  # of a sample's value, OpenPose's threshold


@dataclass(frozen=True, eq=False)
class Support:
    """What maps say of N groups beside `codecs.group_tokens`: of each joint (N, K, J), 0 for a missing one, and of the
    group (N, M)."""

    of_joints: Float[np.ndarray, "N K J"]
    of_group: Float[np.ndarray, "N M"]


def limb_support(values: Float[np.ndarray, "N L S"], limbs: Int[np.ndarray, "L 2"], keypoints: int) -> Support:
    """Return the support of groups by the fields' values at S samples along each limb, NaN where an end is missing.

    Of a joint, over the limbs that end there: the mean of their means, the mean share of samples above `COUNTS`, the
    least mean. Of the group the same over all its limbs. 0 without any.
    """
    known = ~np.any(np.isnan(values), axis=2)[:, None]  # (N, 1, L)
    whole = np.where(np.isnan(values), 0.0, values)
    mean, share = whole.mean(axis=2)[:, None], (whole > COUNTS).mean(axis=2)[:, None]
    ends_there = (limbs[None] == np.arange(keypoints)[:, None, None]).any(axis=2)  # (K, L)
    return Support(_summary(mean, share, known & ends_there), _summary(mean, share, known)[:, 0])


def _summary(
    mean: Float[np.ndarray, "N 1 L"], share: Float[np.ndarray, "N 1 L"], chosen: Bool[np.ndarray, "N M L"]
) -> Float[np.ndarray, "N M 3"]:
    number = np.maximum(chosen.sum(axis=2), 1)
    least = np.where(chosen, mean, np.inf).min(axis=2, initial=np.inf)
    columns = [
        np.where(chosen, mean, 0.0).sum(axis=2) / number,
        np.where(chosen, share, 0.0).sum(axis=2) / number,
        np.where(np.isfinite(least), least, 0.0),
    ]
    return np.stack(columns, axis=2)
