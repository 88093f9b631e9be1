"""Recordings of several cameras: the files of each camera's poses, what weights their keypoints, and their times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.geometry.cameras import Cameras
from trustpose.io.coco.results import read_results
from trustpose.io.pose_files import Photos, assemble, find_files, read_pose_files
from trustpose.multiview.frames import match_frames
from trustpose.multiview.shifts import describe_misfit, describe_shifts, fit_times
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, Skeleton, difference, skeleton_of

WEIGHTS = ("auto", "trust", "scores", "none")
_FIELDS = {"trust": ("quality", "keypoint_quality"), "scores": ("score", "keypoint scores")}


@dataclass(frozen=True, eq=False)
class Recordings:
    """The poses of V cameras in one skeleton.

    `files` (V) and `views` (V) have each camera's poses, whose `image_id` is the number of the frame. `fps` (V) are
    frames a second and `offset` (V) seconds to add to each camera's times; None: frames of the same number show the
    same moment. `weight` is what keypoints are weighted by: "trust", "scores" or "none". `notes` say how skeletons were
    chosen, where that is worth saying.
    """

    files: tuple[Path, ...]
    views: list[Poses]
    fps: list[float] | None
    offset: list[float] | None
    weight: str
    notes: tuple[str, ...]


def read_recordings(
    files: Sequence[Path],
    *,
    skeleton: str | None = None,
    fps: str | None = None,
    offset: str | None = None,
    weight: str = "auto",
) -> Recordings:
    """Read the poses of several cameras.

    Args:
        files: for each camera, COCO results or another tool's file or folder.
        skeleton: of the poses, if the files do not name it: NAME or FILE.json.
        fps: frames a second: one number, or one for each camera, separated by commas.
        offset: seconds to add to each camera's times, separated by commas.
        weight: one of `WEIGHTS`; "auto" is trust where all views have it, else scores, else nothing.

    Raises:
        InputError: naming the file or option at fault.
    """
    rates, offsets = numbers("--fps", fps, len(files)), numbers("--offset", offset, len(files))
    views, notes = read_views(files, skeleton)
    return Recordings(tuple(files), views, rates, offsets, _chosen_weight(weight, views, files), notes)


def read_views(files: Sequence[Path], skeleton: str | None = None) -> tuple[list[Poses], tuple[str, ...]]:
    """Return each camera's poses, `image_id` being the frame's number, all of one skeleton, and notes. Raises
    InputError."""
    chosen = None if skeleton is None else skeleton_of(skeleton)
    notes: dict[str, None] = {}
    views = [_read_view(file, chosen, notes) for file in files]
    for file, view in zip(files, views, strict=True):
        unlike = difference(views[0].skeleton, view.skeleton)
        if unlike or view.keypoint_count != views[0].keypoint_count:
            unlike = unlike or f"{view.keypoint_count} keypoints instead of {views[0].keypoint_count}"
            raise InputError(f"{file}: has a different skeleton from {files[0]}: {unlike}")
    return views, tuple(notes)


def _read_view(source: Path, skeleton: Skeleton | None, notes: dict[str, None]) -> Poses:
    """Return one camera's poses, and add to the `notes` how their skeleton was chosen, where that is worth saying, and
    what was not read."""
    files = find_files([source])
    tool, people = read_pose_files(files, keypoint_counts=[17 if skeleton is None else len(skeleton)])
    if tool == "coco" and len(files) == 1:  # our own fields too
        results = read_results(source, skeleton=skeleton)
        if not results.image_texts.are_numbers:
            raise InputError(f"{source}: field 'image_id': is a text, expected the frame's number")
        notes.update(dict.fromkeys(results.notes))
        poses = results.poses
        return replace(poses, skeleton=skeleton or (COCO_17 if poses.keypoint_count == len(COCO_17) else None))
    assembled = assemble(people, Photos(None, None), tool=tool, skeleton=skeleton)
    if assembled.counted:
        raise InputError(f"{source}: the names of the photos do not end in a number, so their frames are unknown")
    if assembled.skeleton_note is not None:
        notes[assembled.skeleton_note] = None
    return assembled.poses


def _chosen_weight(weight: str, views: Sequence[Poses], files: Sequence[Path]) -> str:
    """Return what to weight by. Raises InputError naming a file that lacks what `weight` asks for."""
    if weight not in WEIGHTS:
        raise InputError(f"--weight: {expected_one_of(WEIGHTS, weight)}")
    lacking = {
        name: next((file for file, view in zip(files, views, strict=True) if getattr(view, field) is None), None)
        for name, (field, _) in _FIELDS.items()
    }
    if weight == "auto":
        return next((name for name in _FIELDS if lacking[name] is None), "none")
    file = lacking.get(weight)
    if file is not None:
        repair = "add it with `trustpose calibrate apply`, or use " if weight == "trust" else "use "
        raise InputError(f"{file}: has no {_FIELDS[weight][1]}, expected with --weight {weight}; {repair}--weight auto")
    return weight


def numbers(option: str, text: str | None, count: int) -> list[float] | None:
    """Return one number for each of `count` cameras, None without a text. A single rate of --fps is all cameras'.

    Raises InputError.
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: expected numbers separated by commas, got {text[:60]!r}") from None
    if option == "--fps":
        values = values * count if len(values) == 1 else values
        if not all(0 < value < 1e6 for value in values):
            raise InputError(f"{option}: expected frame rates above 0, got {text[:60]!r}")
    if len(values) != count:
        raise InputError(f"{option}: expected {count} numbers, one for each camera, got {len(values)}")
    return values


_MUCH = 0.75  # of the distance at the given times: below, frames are too far apart in time to triangulate


def check_counts(cameras: Cameras, files: Sequence[Path], camera_file: Path) -> None:
    """Check that there are two recordings or more, one for each camera. Raises InputError."""
    if len(files) < 2:
        raise InputError(f"--results: expected the poses of two cameras or more, got {len(files)}")
    if len(files) != len(cameras):
        names = ", ".join(cameras.names)
        raise InputError(
            f"{camera_file}: holds {len(cameras)} cameras ({names}), but poses of {len(files)} are given; expected one "
            "file or folder for each, in this order"
        )


def check_sizes(cameras: Cameras, recordings: Recordings) -> None:
    """Refuse poses that lie outside their camera's image: the calibration was made at another resolution."""
    for camera, view, file in zip(cameras, recordings.views, recordings.files, strict=True):
        if camera.size is None:
            continue
        has_place = np.isfinite(view.xy).all(axis=2)
        has_place &= True if view.missing is None else ~view.missing
        xy, size = view.xy[has_place], np.array(camera.size)
        outside = ((xy < -0.1 * size) | (xy > 1.1 * size)).any(axis=1)
        if len(xy) and outside.mean() > 0.05:
            width, height = camera.size
            raise InputError(
                f"{file}: {outside.mean():.0%} of the keypoints lie outside the {width} × {height} image that camera "
                f"{camera.name!r} was calibrated for (they reach {xy[:, 0].max():.0f}, {xy[:, 1].max():.0f}); expected "
                "a calibration for the size of these images, in the order of the cameras"
            )


def check_moments(recordings: Recordings) -> None:
    """Refuse recordings of which no frame of one camera shows the same moment as another's. Raises InputError."""
    try:
        moments = match_frames(recordings.views, recordings.fps, recordings.offset)
    except ValueError as error:
        raise InputError(str(error)) from None
    seen = np.array([[len(rows) > 0 for rows in view] for view in moments.rows])
    if not (seen.sum(axis=0) >= 2).any():
        pairs = zip(recordings.files, recordings.views, strict=True)
        spans = ", ".join(f"{file.name} has frames {_span(view)}" for file, view in pairs)
        raise InputError(f"no moment is in the poses of two cameras: {spans}; align them with --fps and --offset")


def check_geometry(cameras: Cameras, recordings: Recordings) -> str | None:
    """Refuse poses that do not fit the epipolar geometry of the cameras, or only in another order or at other times.

    Returns:
        A note on a shift in time that costs little; None if there is none.
    """
    moments = match_frames(recordings.views, recordings.fps, recordings.offset)
    reason = describe_misfit(recordings.views, moments, cameras)
    if reason is not None:
        raise InputError(f"{reason} (--unchecked continues anyway)")
    fit = fit_times(recordings.views, cameras, recordings.fps, recordings.offset, recordings.weight)
    reason = describe_shifts(fit, cameras.names)
    if reason is None:
        return None
    shifts = fit.shift.tolist()
    if recordings.fps is None:
        repair = "with --fps R, --offset " + ",".join("0" if not shift else f"{shift}/R" for shift in shifts)
    else:
        starts = [0.0] * len(cameras) if recordings.offset is None else recordings.offset
        seconds = [start + shift / max(recordings.fps) for start, shift in zip(starts, shifts, strict=True)]
        repair = "--offset " + ",".join(f"{second:.4g}" for second in seconds)
    if (fit.best < _MUCH * fit.current).any():
        raise InputError(f"{reason}; {repair} would fix it (--unchecked continues anyway)")
    return f"{reason}; {repair} would fix it"


def _span(view: Poses) -> str:
    if view.image_id is None or not len(view):
        return "none"
    return f"{view.image_id.min()} to {view.image_id.max()}"
