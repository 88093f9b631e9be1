"""Which keypoints of a file its estimator gives no location for: decided here, for every kind of file."""

import numpy as np
from jaxtyping import Bool, Float


def find_missing(
    xy: Float[np.ndarray, "N K 2"],
    score: Float[np.ndarray, "N K"] | None,
    *,
    dropped_below: float = 0.0,
    anywhere: bool = False,
) -> Bool[np.ndarray, "N K"] | None:
    """The keypoints (N, K) that are blank (NaN), or at exactly (0, 0) with score 0; None where there are none.

    (0, 0) with a score of 0 is what OpenPose and others write for a joint that they did not find. A tool that moves
    joints of low score to (0, 0) and keeps the score has a rule of its own: `dropped_below` is the score under which it
    does (Ultralytics: 0.5). `anywhere`: a score of 0 is enough, as of one that scales (0, 0) back with the rest
    (OpenPifPaf). Without scores, (0, 0) is enough.
    """
    x, y = xy[..., 0], xy[..., 1]
    missing = np.isnan(x) | np.isnan(y)
    at_zero = x == 0
    if at_zero.any():  # seldom: most files end here
        at_zero &= y == 0
        if score is not None:
            at_zero &= (score == 0) | (score < dropped_below) | np.isnan(score)
        missing |= at_zero
    if anywhere and score is not None:
        missing |= score == 0
    return missing if missing.any() else None
