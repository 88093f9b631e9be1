"""Features of a grouped person from part affinity fields: the fields' values along all of its limbs.

Limbs without a link count, too: between joints that two people's links brought into one group the fields point
elsewhere, and limbs that started no person (`grouping.paf`) are read like all others.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

COUNTS = 0.05  # of a sample's value, OpenPose's threshold


@dataclass(frozen=True, eq=False)
class Support:
    """Features of N groups from further maps, read in `codecs.group_tokens`.

    of_joints (N, K, J): of each joint, 0 for a missing one. of_group (N, M): of the whole group.
    """

    of_joints: Float[np.ndarray, "N K J"]
    of_group: Float[np.ndarray, "N M"]


def limb_support(values: Float[np.ndarray, "N L S"], limbs: Int[np.ndarray, "L 2"], keypoints: int) -> Support:
    """Return the support of groups by the fields' values at S samples along each limb, NaN where an end is missing.

    Of a joint, over the limbs that end there: the mean of their means, the mean share of samples above `COUNTS`, the
    least mean. Of the group the same over all its limbs. 0 without any.
    """
    has_both_ends = ~np.any(np.isnan(values), axis=2)[:, None]  # (N, 1, L)
    whole = np.where(np.isnan(values), 0.0, values)
    mean, share = whole.mean(axis=2)[:, None], (whole > COUNTS).mean(axis=2)[:, None]
    ends_there = (limbs[None] == np.arange(keypoints)[:, None, None]).any(axis=2)  # (K, L)
    return Support(_summary(mean, share, has_both_ends & ends_there), _summary(mean, share, has_both_ends)[:, 0])


def _summary(
    mean: Float[np.ndarray, "N 1 L"], share: Float[np.ndarray, "N 1 L"], chosen: Bool[np.ndarray, "N M L"]
) -> Float[np.ndarray, "N M 3"]:
    number = np.maximum(chosen.sum(axis=2), 1)
    lowest = np.where(chosen, mean, np.inf).min(axis=2, initial=np.inf)
    columns = [
        np.where(chosen, mean, 0.0).sum(axis=2) / number,
        np.where(chosen, share, 0.0).sum(axis=2) / number,
        np.where(np.isfinite(lowest), lowest, 0.0),
    ]
    return np.stack(columns, axis=2)
