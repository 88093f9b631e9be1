"""Check that recordings belong to their cameras: their number, image size, order and times."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.geometry.cameras import Cameras
from trustpose.multiview.frames import match_frames
from trustpose.multiview.order import describe_misfit
from trustpose.multiview.recordings import Recordings
from trustpose.multiview.shifts import describe_shifts, fit_times
from trustpose.poses import Poses

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
        raise InputError(f"no moment is in the poses of two cameras: {spans}; --fps and --offset say how they belong")


def check_geometry(cameras: Cameras, recordings: Recordings) -> str | None:
    """Refuse poses that do not fit the epipolar geometry of the cameras, or only in another order or at other times.

    Returns:
        A note on a shift in time that costs little; None if there is none.
    """
    moments = match_frames(recordings.views, recordings.fps, recordings.offset)
    reason = describe_misfit(recordings.views, moments, cameras)
    if reason is not None:
        raise InputError(f"{reason} (--unchecked goes on)")
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
        raise InputError(f"{reason}; {repair} would mend it (--unchecked goes on)")
    return f"{reason}; {repair} would mend it"


def _span(view: Poses) -> str:
    if view.image_id is None or not len(view):
        return "none"
    return f"{view.image_id.min()} to {view.image_id.max()}"
