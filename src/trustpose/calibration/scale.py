"""Whether keypoint scores are on the scale that a calibrator was fitted on."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.poses import Poses

_OFF_SCALE = 0.25  # share of keypoint scores outside the fitted range that means another estimator or scale


class ScaleCheck:
    """Compares keypoint scores, of one batch or of many, with the quantiles (101,) of those fitted on."""

    def __init__(self, fitted: Float[np.ndarray, "101"]) -> None:
        self._low, self._high = fitted[[1, -2]]  # 1st and 99th percentile
        self._outside = self._count = 0
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, poses: Poses) -> None:
        """Count the scores of these poses; missing keypoints are never outside."""
        score = poses.score
        if score is None or not len(poses):
            return
        margin = 0.5 * max(self._high - self._low, 1e-6)
        outside = (score < self._low - margin) | (score > self._high + margin)
        if poses.missing is not None:
            outside &= ~poses.missing
        self._outside += int(np.count_nonzero(outside))
        self._count += outside.size
        self._lowest, self._highest = min(self._lowest, score.min()), max(self._highest, score.max())

    def state(self) -> list[float]:
        """Return what was counted, to be joined with others'."""
        return [self._outside, self._count, float(self._lowest), float(self._highest)]

    def join(self, state: Sequence[float]) -> None:
        """Count what another check counted, its `state`."""
        outside, count, lowest, highest = state
        self._outside += int(outside)
        self._count += int(count)
        self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)

    def check(self) -> None:
        """Raise InputError if more than a quarter of the scores lie outside the fitted range."""
        if self._outside > _OFF_SCALE * self._count:
            raise InputError(
                f"keypoint scores range from {self._lowest:.4g} to {self._highest:.4g}, but the calibrator "
                f"was fitted on {self._low:.4g} to {self._high:.4g}: another estimator, or another scale"
            )
