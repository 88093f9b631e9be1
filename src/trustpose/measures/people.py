"""`PeopleReader`: all measures of people: those of a frame, those over time, in their units, with what the view says.

`MeasureReader` reads the measures of single frames, of which the others are made.
"""

from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import InputError
from trustpose.geometry.measures import SIDES, Measure, weights_in
from trustpose.geometry.scene_options import SceneOptions
from trustpose.images import Images
from trustpose.measures.events import read_event
from trustpose.measures.floor import Floor
from trustpose.measures.measure_reader import MeasureReader
from trustpose.measures.measurements import Measured, Measurements
from trustpose.measures.motions import EVENTS, AnyMeasure, Motion, parts_of
from trustpose.measures.over_time import read_motion
from trustpose.measures.track_rows import TrackRows, track_rows
from trustpose.measures.units import Units
from trustpose.measures.views import FACING, view_doubts
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton
from trustpose.tracking.exchanged_sides import GROUPS, exchanged_sides
from trustpose.tracking.paths import Paths


class PeopleReader:
    """Reads the same measures off people batch by batch; measures over time need whole tracks in a batch.

    Args:
        measures: what to read.
        skeleton: of the poses.
        levels: of the intervals.
        scene: time, units and view.
        intervals: whether there are any.
        source: of the poses, for messages.

    Raises:
        InputError: for heights without a floor, and as `Units` and `Floor` do.
    """

    def __init__(
        self,
        measures: tuple[AnyMeasure, ...],
        skeleton: Skeleton,
        levels: tuple[float, ...],
        scene: SceneOptions | None = None,
        *,
        intervals: bool = True,
        source: str | Path = "poses",
    ) -> None:
        self.measures, self._skeleton, self._source = measures, skeleton, source
        self._scene = scene or SceneOptions()
        self._units, self._floor = Units.of(self._scene), Floor.of(self._scene)
        self._parts = parts_of(measures)
        if self._floor is None and any(part.kind == "height" for part in self._parts):
            raise InputError("measures: heights need a floor line (floor, --floor x1,y1,x2,y2)")
        self._reader = MeasureReader(self._parts, skeleton, levels, intervals=intervals, source=source)
        self._readable = self._facing = self._shortened = 0
        self._counting = Lock()  # pieces are measured in threads
        self._are_of_frames = all(isinstance(measure, Measure) for measure in measures)

    @property
    def needs_tracks(self) -> bool:
        """Whether some measures are over time."""
        return not self._are_of_frames

    def __call__(
        self,
        poses: Poses,
        person: Int[np.ndarray, " N"],
        images: Images | None = None,
        smoothed_std: Float[np.ndarray, "N K"] | None = None,
    ) -> Measurements:
        """Return the measurements of N poses.

        Args:
            poses: the poses.
            person: (N,), the row of each in its file.
            images: the frames, for their times.
            smoothed_std: (N, K), standard deviation of each joint after smoothing, pixels; None: not smoothed.

        Raises:
            InputError: for poses without trust; for measures over time of frames without time.
        """
        images = self._timed(poses, images)
        times = None
        if images is not None and images.time is not None:
            times = dict(zip(images.id.tolist(), images.time.tolist(), strict=True))
        tracks = self._tracks(poses, images)
        upright = poses if self._floor is None else self._floor.upright(poses)
        base = self._reader(upright, person, times, smoothed_std)
        if tracks is not None:
            base = _with_exchanged(base, poses, self._skeleton, tracks)
        measured = base if self._are_of_frames else self._with_motions(base, tracks, smoothed=smoothed_std is not None)
        if self._scene.view:
            measured = self._with_doubts(measured, view_doubts(self.measures, poses, self._skeleton, tracks))
        return self._units.convert(measured, poses, self._skeleton, tracks)

    def notes_of_view(self) -> tuple[str, ...]:
        """Return a sentence on the share of values, of all that were read so far, that the view makes doubtful; none
        without any."""
        doubtful = self._facing + self._shortened
        if not doubtful:
            return ()
        return (
            f"the view makes {doubtful / self._readable:.0%} of values doubtful, see reason: {self._facing:,} are seen "
            f"from the front or back, {self._shortened:,} have a limb that points to or from the camera",
        )

    def _with_doubts(self, measured: Measurements, doubts: np.ndarray) -> Measurements:
        """Return measurements whose reasons say where the view makes a readable value doubtful."""
        rows: Bool[np.ndarray, "N M"] = measured.readable & (doubts != "") & (measured.reason == "")
        facing = int((rows & (doubts == FACING)).sum())
        with self._counting:
            self._readable += int(measured.readable.sum())
            self._facing += facing
            self._shortened += int(rows.sum()) - facing
        if not rows.any():
            return measured
        return measured.with_columns(measured.measures, reason=np.where(rows, doubts, measured.reason))

    def _timed(self, poses: Poses, images: Images | None) -> Images | None:
        if self._scene.fps is None or (images is not None and images.time is not None) or poses.image_id is None:
            return images
        ids = np.unique(poses.image_id) if images is None else images.id
        if images is None:
            return Images(ids, time=ids / self._scene.fps)
        raise InputError("fps: the listed frames have no time, and their ids need not be frame numbers")

    def _tracks(self, poses: Poses, images: Images | None) -> TrackRows | None:
        """Return the tracks; None if they are unknown and no measure needs them."""
        has_times = images is not None and images.time is not None
        if not self.needs_tracks and (not has_times or poses.track_id is None):
            return None
        listed = Images(np.zeros(0, np.int64)) if images is None else images
        try:
            return track_rows(poses, listed)
        except InputError as error:
            if not self.needs_tracks:
                return None
            raise InputError(f"{self._source}: {error}") from None

    def _with_motions(self, base: Measurements, tracks: TrackRows | None, *, smoothed: bool) -> Measurements:
        assert tracks is not None
        columns = []
        for measure in self.measures:
            if isinstance(measure, Motion):
                reader = read_event if measure.kind in EVENTS else read_motion
                columns.append(reader(measure, base, tracks, window=self._scene.window, smoothed=smoothed))
            else:
                columns.append(base[measure.name])
        return _joined(base, columns, self.measures)


def _joined(base: Measurements, columns: list[Measured], measures: tuple[AnyMeasure, ...]) -> Measurements:
    """Return measurements of these columns, with the people of `base`."""
    names = ("value", "sd", "low", "high", "readable", "reason")
    stacked = {name: np.stack([getattr(column, name) for column in columns], axis=1) for name in names}
    return base.with_columns(measures, **stacked)


def _with_exchanged(base: Measurements, poses: Poses, skeleton: Skeleton, tracks: TrackRows) -> Measurements:
    """Return measurements in which readings of one side are not readable where left and right are exchanged."""
    paths = Paths(tracks.row, tracks.track, np.zeros_like(tracks.track), tracks.frame, tracks.row)
    reason, readable = base.reason.copy(), base.readable.copy()
    for group, is_exchanged in exchanged_sides(poses, paths, skeleton).items():
        for column, measure in enumerate(base.measures):
            if isinstance(measure, Measure) and _is_of_side(measure, GROUPS[group]):
                rows = is_exchanged & (reason[:, column] == "")
                reason[rows, column] = f"left and right {group} are exchanged in this frame"
                readable[rows, column] = False
    return base.with_columns(base.measures, reason=reason, readable=readable)


def _is_of_side(measure: Measure, joints: tuple[str, ...]) -> bool:
    """Return whether exchanging the sides of these joints changes the measure."""
    for point in measure.points:
        weights = weights_in(point)
        for joint in joints:
            left, right = (weights.get(f"{side}_{joint}", 0.0) for side in SIDES)
            if left != right:
                return True
    return False
