"""Apply a calibrator to results too large for memory, batch by batch, with a single call's trust and warnings."""

from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import FEWEST, Calibrator, compared_rows
from trustpose.calibration.features import pose_features
from trustpose.calibration.scale import ScaleCheck
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton


class CalibratorInBatches:
    """Call it with batches of whole photos, `count` poses in all, in the order of a single call; then `warnings`.

    Scores on another scale are only known after all batches: `warnings` raises that error, and the output is to be
    discarded. The people compared with the fitted ones are those of a single call, kept from each batch.
    """

    def __init__(self, calibrator: Calibrator, count: int, skeleton: Skeleton | str | Path | None = None) -> None:
        self._calibrator, self._count, self._skeleton = calibrator, count, skeleton
        self._scale = ScaleCheck(calibrator.domain.scores)
        self._compared, self._done = compared_rows(count), 0
        self._features: list[dict[str, np.ndarray]] = []
        self._scores: list[np.ndarray] = []

    def __call__(self, poses: Poses) -> Poses:
        """Return the poses with trust, as `Calibrator.__call__` does. Raises InputError, but not for scores on another
        scale."""
        people = self._calibrator.people_of(poses, self._skeleton)
        self._scale.add(poses)
        applied = self._calibrator.trust_of(poses, self._calibrator.with_opinions(people, poses, ()), None)
        start, self._done = self._done, self._done + len(poses)
        chosen = np.arange(len(poses))
        if self._compared is not None:
            first, end = np.searchsorted(self._compared, [start, self._done])
            chosen = self._compared[first:end] - start
        if len(chosen):
            some = people.rows(chosen)
            self._features.append(pose_features(some))
            self._scores.append(some.score_of_found())
        return applied

    def warnings(self) -> tuple[str, ...]:
        """Return sentences on distribution shift, as `Calibrator.apply` does. Raises InputError for scores on another
        scale."""
        self._scale.check()
        if self._done != self._count:
            raise InputError(f"{self._done:,} poses were read, expected {self._count:,}: did the files change?")
        if self._count < FEWEST:
            return ()
        features = {name: np.concatenate([part[name] for part in self._features]) for name in self._features[0]}
        return tuple(self._calibrator.domain.compare(features, np.concatenate(self._scores, axis=1)).warnings())
