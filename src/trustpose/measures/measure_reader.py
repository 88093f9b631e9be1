"""`MeasureReader`: measures of single frames, with their intervals and why some cannot be read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.measure_errors import MeasureIntervals, PoseErrors, propagated
from trustpose.files import InputError
from trustpose.geometry.measures import Measure, Reading, read
from trustpose.measures.measurements import Measurements
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton
from trustpose.threads import in_order, worker_threads

ONE_SIGMA = 0.6827  # of a Gaussian within one standard deviation
_ABSENT = 0.8  # probability above which a joint counts as absent
_SHORT = 0.5  # of its joints' largest median error, below which a limb's direction cannot be read
_PEOPLE = 8192  # at a time, whose arrays fit into the processor's cache
_threads = worker_threads(2, "trustpose-measures")


class MeasureReader:
    """Reads the same measures off poses batch by batch.

    Args:
        measures: what to read.
        skeleton: of the poses.
        levels: of the intervals.
        intervals: whether there are any.
        source: of the poses, for messages.
    """

    def __init__(
        self,
        measures: tuple[Measure, ...],
        skeleton: Skeleton,
        levels: tuple[float, ...],
        *,
        intervals: bool = True,
        source: str | Path = "poses",
    ) -> None:
        self.measures, self._skeleton, self._source = measures, skeleton, source
        self._levels, self._has_intervals = levels, intervals
        self._intervals: MeasureIntervals | None = None

    def __call__(
        self,
        poses: Poses,
        person: Int[np.ndarray, " N"],
        times: Mapping[int, float] | None = None,
        smoothed_std: Float[np.ndarray, "N K"] | None = None,
    ) -> Measurements:
        """Return the measurements of N poses.

        Args:
            poses: the poses.
            person: (N,), the row of each in its file.
            times: seconds of each frame, by image id.
            smoothed_std: (N, K), standard deviation of each joint after smoothing, pixels; NaN: it was not smoothed.

        Raises:
            InputError: for poses without trust.
        """
        if self._has_intervals and poses.quality is None:
            raise InputError(
                f"{self._source}: no trust (keypoint_quality), expected results of `trustpose predict` or "
                "`calibrate apply`, or a calibrator; intervals=False (--no-intervals) gives values alone"
            )
        if self._has_intervals and not self._skeleton.has_sigmas:
            raise InputError(
                f"{self._source}: the skeleton {self._skeleton.name} has no sigmas, from which errors in pixels "
                "follow; intervals=False (--no-intervals) gives values alone"
            )
        intervals = self._intervals
        if intervals is None:
            model = None if poses.error_model is None else poses.error_model.measures
            intervals = self._intervals = MeasureIntervals(model, self._skeleton)
        shape, levels = (len(poses), len(self.measures)), len(self._levels)
        value, sd = np.full(shape, np.nan), np.full(shape, np.nan)
        low, high = np.full((*shape, levels), np.nan), np.full((*shape, levels), np.nan)
        reason = np.full(shape, "", dtype=object)

        def read_block(start: int) -> None:
            rows = slice(start, start + _PEOPLE)
            block = poses[rows]
            errors = PoseErrors.of(block, self._skeleton) if self._has_intervals else None
            for column, measure in enumerate(self.measures):
                reading = read(measure, self._skeleton, block.xy)
                reason[rows, column], is_empty = _reasons(measure, reading, block, errors)
                value[rows, column] = np.where(is_empty, np.nan, reading.value)
                if errors is None:
                    continue
                ends = intervals(measure, reading, errors, (*self._levels, ONE_SIGMA))  # (P + 1, 2, N)
                if smoothed_std is not None:
                    ends = of_smoothed(ends, measure, reading, errors, smoothed_std[rows])
                ends = np.where(is_empty, np.nan, ends)
                sd[rows, column] = (ends[-1, 1] - ends[-1, 0]) / 2
                low[rows, column], high[rows, column] = ends[:-1, 0].T, ends[:-1, 1].T

        starts = range(0, len(poses), _PEOPLE)
        for _ in map(read_block, starts) if len(starts) == 1 else in_order(_threads(), read_block, starts, 4):
            pass
        return Measurements(
            self.measures,
            self._levels,
            value,
            sd,
            low,
            high,
            reason == "",
            reason,
            person,
            poses.image_id,
            poses.annotation_id,
            poses.track_id,
            _time_of(poses, times),
            self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        if not self._has_intervals:
            return ()
        assert self._intervals is not None
        names = [measure.name for measure in self.measures if not self._intervals.is_fitted(measure)]
        if not names:
            return ()
        if len(names) == len(self.measures):
            return (
                "intervals are propagated from the joints' expected errors: nothing was learnt of how far these "
                "measures are off; `trustpose calibrate fit` learns it",
            )
        return (f"intervals of {', '.join(names)} are propagated from the joints' expected errors",)


def of_smoothed(
    ends: Float[np.ndarray, "P 2 N"],
    measure: Measure,
    reading: Reading,
    errors: PoseErrors,
    smoothed_std: Float[np.ndarray, "N K"],
) -> Float[np.ndarray, "P 2 N"]:
    """Return intervals of smoothed readings: those of the frame alone, stretched about the value as the propagated
    error of its joints changed with smoothing, where all of them were smoothed."""
    alone = propagated(reading, errors.error.std, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = propagated(reading, smoothed_std, None) / alone
    factor = np.where(np.isfinite(factor), factor, 1.0)
    return np.clip(reading.value + factor * (ends - reading.value), *measure.limits)


def _reasons(
    measure: Measure, reading: Reading, poses: Poses, errors: PoseErrors | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return why each value cannot be read (N,), "" if it can, and whether its cells are empty."""
    reason, is_empty = np.full(len(poses), "", dtype=object), np.zeros(len(poses), np.bool_)
    if errors is not None:
        is_short = errors.error.median_exceeds(reading.shortest / _SHORT, reading.joints).any(axis=1)
        reason[is_short] = "a limb is too short for its joints' errors"

    def leave_out(rows: np.ndarray, text: str) -> None:
        reason[rows], is_empty[rows] = text, True

    for joint, index in zip(measure.joints, reading.joints.tolist(), strict=True):
        if poses.visibility is not None:
            leave_out(poses.visibility[:, index, 0] > _ABSENT, f"{joint} is probably absent")
        if poses.missing is not None:
            leave_out(poses.missing[:, index], f"{joint} is missing")
    leave_out(np.isnan(reading.value) & ~is_empty, "a limb has no length")
    return reason, is_empty


def _time_of(poses: Poses, times: Mapping[int, float] | None) -> Float[np.ndarray, " N"] | None:
    if times is None or poses.image_id is None:
        return None
    return np.array([times.get(number, np.nan) for number in poses.image_id.tolist()], dtype=np.float64)
