"""Measure the people of a results file in any layout: what `trustpose measure` does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import Calibrator, CalibratorStream
from trustpose.files import InputError
from trustpose.geometry.scene_options import SceneOptions
from trustpose.io.coco.truth import read_images
from trustpose.io.row_stream import RowStream, open_rows
from trustpose.measures.definitions import find_measures
from trustpose.measures.measure import check_times, checked_levels, skeleton_of_poses
from trustpose.measures.measurements import LEVELS, MeasurementWriter, table_suffix
from trustpose.measures.people import PeopleReader
from trustpose.measures.smoothed_std import smoothed_std_in
from trustpose.poses import Poses
from trustpose.skeletons import skeleton_of


@dataclass(frozen=True)
class MeasuredResults:
    """Numbers of people, measures and readable values, the share of these, and what to know of them."""

    people: int
    measures: int
    readable: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def measure_results(
    results: Path,
    out: Path,
    *,
    measures: str | Path | None = None,
    calibrator: Calibrator | None = None,
    images: Path | None = None,
    skeleton: str | None = None,
    levels: Sequence[float] = LEVELS,
    intervals: bool = True,
    scene: SceneOptions | None = None,
    tell: Callable[[int, int], None] = lambda done, count: None,  # noqa: ARG005
) -> MeasuredResults:
    """Measure the people of a results file and write a table, one row per person and measure.

    With a calibrator, which counts the people of a photo, Parquet is sorted by photo first, and the table with it. With
    times of frames all people are in memory at once, as tracks may lie anywhere in the file.

    Args:
        results: COCO results: JSON, CSV, Parquet, or a folder of Parquet parts, which are read in batches.
        out: the table, CSV or Parquet by its suffix.
        measures: names, or a JSON file, see `find_measures`.
        calibrator: adds trust first.
        images: lists the frames, for their times.
        skeleton: of the keypoints, NAME or FILE.json.
        levels: of the intervals.
        intervals: whether there are any.
        scene: time, units and the view.
        tell: is called with the number of people that are done, and of all.

    Returns:
        What was measured.

    Raises:
        InputError: for files that cannot be read, and as `tp.measure` does.
    """
    table_suffix(out)
    levels = checked_levels(levels)
    named = None if skeleton is None else skeleton_of(skeleton)
    stream = open_rows(results, skeleton=named, whole_photos=calibrator is not None)  # which counts a photo's people
    listed, texts = (None, None) if images is None else read_images(images)
    scene = scene or SceneOptions()
    if listed is not None and images is not None:
        check_times(listed, images)
    if listed is not None and (stream.has_text_ids or (texts is not None and len(texts))):
        raise InputError(f"{images}: times are found by whole-number image ids, {results} has texts")
    apply = None if calibrator is None else calibrator.stream(stream.count)
    has_times = listed is not None or scene.fps is not None
    reader, people, readable, notes = None, 0, 0, dict[str, None]()
    with MeasurementWriter(out, _texts(stream), levels) as write:
        for batch in [stream.whole()] if has_times else stream.batches():
            poses, position = batch.results.poses, batch.position
            notes |= dict.fromkeys(batch.results.notes)
            if apply is not None:
                poses = _calibrated(apply, poses, results)
            smoothed_std = smoothed_std_in(batch.rows, poses.keypoint_count)
            if (np.diff(position) < 0).any():
                order = np.argsort(position, kind="stable")
                poses, position = poses[order], position[order]
                smoothed_std = None if smoothed_std is None else smoothed_std[order]
            if reader is None:
                joints = skeleton_of_poses(poses, results)
                definitions = find_measures(measures, joints)
                reader = PeopleReader(definitions, joints, levels, scene, intervals=intervals, source=results)
            measured = reader(poses, position, listed, smoothed_std)
            write(measured)
            notes |= dict.fromkeys(measured.notes)
            people, readable = people + len(poses), readable + int(measured.readable.sum())
            tell(people, stream.count)
        notes |= dict.fromkeys(() if reader is None else reader.notes_of_view())
        warnings = () if apply is None else _warnings(apply, results)
    count = 0 if reader is None else len(reader.measures)
    return MeasuredResults(people, count, readable, tuple(notes), warnings)


def _calibrated(apply: CalibratorStream, poses: Poses, results: Path) -> Poses:
    try:
        return apply(poses)
    except InputError as error:
        raise InputError(f"{results}: {error}") from None


def _warnings(apply: CalibratorStream, results: Path) -> tuple[str, ...]:
    try:
        return apply.warnings()
    except InputError as error:
        raise InputError(f"{results}: {error}") from None


def _texts(stream: RowStream) -> Mapping[int, str] | None:
    return stream.held.image_texts.text_of if stream.held is not None and stream.has_text_ids else None
