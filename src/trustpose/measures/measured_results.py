"""Measure the people of a results file in any layout: what `trustpose measure` does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.calibrator import Calibrator, CalibratorStream
from trustpose.files import InputError
from trustpose.geometry.scene_options import SceneOptions
from trustpose.io.coco.truth import read_images
from trustpose.io.row_stream import RowBatch, RowStream, open_rows
from trustpose.measures.definitions import find_measures
from trustpose.measures.measure import check_times, checked_levels, skeleton_of_poses
from trustpose.measures.measurements import LEVELS, Measurements, MeasurementWriter, table_suffix
from trustpose.measures.people import PeopleReader
from trustpose.measures.smoothed_std import smoothed_std_in
from trustpose.poses import Poses
from trustpose.skeletons import skeleton_of
from trustpose.threads import in_order, worker_threads

_PEOPLE, _AHEAD = 8192, 4  # in a piece, and pieces that threads work on
_threads = worker_threads(2, "trustpose-measured")  # apart from those in which a piece is measured


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

    def pieces() -> Iterator[_Piece]:
        """Yield the people, some thousand at a time where none needs the others; runs in this thread."""
        nonlocal reader
        for batch in [stream.whole()] if has_times else stream.batches():
            piece = _piece_of(batch, apply, results)
            notes.update(dict.fromkeys(batch.results.notes))
            if reader is None:
                joints = skeleton_of_poses(piece.poses, results)
                definitions = find_measures(measures, joints)
                reader = PeopleReader(definitions, joints, levels, scene, intervals=intervals, source=results)
            yield from [piece] if has_times else piece.split()

    with MeasurementWriter(out, _texts(stream), levels) as write:

        def measured(piece: _Piece) -> tuple[Measurements, list[Any]]:
            assert reader is not None
            measurements = reader(piece.poses, piece.position, listed, piece.smoothed_std)
            return measurements, write.encoded(measurements)

        for measurements, encoded in in_order(_threads(), measured, pieces(), _AHEAD):
            write.put(encoded)
            notes |= dict.fromkeys(measurements.notes)
            people, readable = people + len(measurements), readable + int(measurements.readable.sum())
            tell(people, stream.count)
        notes |= dict.fromkeys(() if reader is None else reader.notes_of_view())
        warnings = () if apply is None else _warnings(apply, results)
    count = 0 if reader is None else len(reader.measures)
    return MeasuredResults(people, count, readable, tuple(notes), warnings)


@dataclass(frozen=True, eq=False)
class _Piece:
    """People of a file, their rows in it, and the standard deviations of smoothed joints."""

    poses: Poses
    position: Int[np.ndarray, " N"]
    smoothed_std: Float[np.ndarray, "N K"] | None

    def split(self) -> "Iterator[_Piece]":
        """Yield the people, `_PEOPLE` at a time."""
        for start in range(0, max(len(self.poses), 1), _PEOPLE):
            rows = slice(start, start + _PEOPLE)
            std = None if self.smoothed_std is None else self.smoothed_std[rows]
            yield _Piece(self.poses[rows], self.position[rows], std)


def _piece_of(batch: RowBatch, apply: CalibratorStream | None, results: Path) -> _Piece:
    """Return the people of a batch in the order of the file, with the trust of a calibrator."""
    poses = batch.results.poses if apply is None else _calibrated(apply, batch.results.poses, results)
    position, std = batch.position, smoothed_std_in(batch.rows, poses.keypoint_count)
    if (np.diff(position) < 0).any():
        order = np.argsort(position, kind="stable")
        poses, position, std = poses[order], position[order], None if std is None else std[order]
    return _Piece(poses, position, std)


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
