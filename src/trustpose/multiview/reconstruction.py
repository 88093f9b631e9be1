"""Reconstruct people in 3D from files: what `trustpose triangulate` does before it draws."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trustpose.files import InputError
from trustpose.geometry.cameras import Cameras
from trustpose.io.cameras import read_cameras
from trustpose.io.poses3d import format_of, write_poses3d
from trustpose.io.poses3d.c3d import package
from trustpose.multiview.frames import own_frame
from trustpose.multiview.people import has_tracks, triangulate
from trustpose.multiview.recordings import (
    Recordings,
    check_counts,
    check_geometry,
    check_moments,
    check_sizes,
    numbers,
    read_recordings,
)
from trustpose.poses import Poses3D

Watch = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """People in 3D, the cameras and recordings that they are from, and the files written."""

    people: Poses3D
    cameras: Cameras
    recordings: Recordings
    files: list[Path]

    def frame_of(self, view: int, frame: int) -> int:
        """Return the number of a camera's frame that shows the same moment as a frame of the first camera."""
        return own_frame(view, frame, fps=self.recordings.fps, offset=self.recordings.offset)


def reconstruct(
    cameras: Sequence[Path],
    results: Sequence[Path],
    out: Path,
    *,
    skeleton: str | None = None,
    fps: str | None = None,
    offset: str | None = None,
    weight: str = "auto",
    unit: str | None = None,
    unchecked: bool = False,
    y_up: bool = False,
    note: Callable[[str], None] = lambda _: None,
    watch: Watch = iter,
    **options: Any,
) -> Reconstruction:
    """Reconstruct people in 3D from the poses of several calibrated cameras, and write them.

    Args:
        cameras: the camera files, of any format that `read_cameras` knows.
        results: the poses of each camera, in the cameras' order.
        out: the file to write, in the format of its suffix.
        skeleton, fps, offset, weight: see `recordings.read_recordings`.
        unit: of length of the camera files, where their format leaves it open.
        unchecked: reconstruct even if poses and cameras do not fit together.
        y_up: in .trc and .c3d, the world's z axis becomes y.
        note: is called with what the user should know.
        watch: iterates over moments, for a progress bar.
        options: others of `people.triangulate_people`.

    Raises:
        InputError: naming the file or option at fault.
    """
    if format_of(out) == "c3d":
        package()
    rates = numbers("--fps", fps, len(results))
    rig = read_cameras(cameras if len(cameras) > 1 else cameras[0], unit=unit)
    check_counts(rig, results, cameras[0])
    if format_of(out) in ("trc", "c3d") and rates is None:
        raise InputError(f"{out}: this format needs the frame rate; give it with --fps")
    recordings = read_recordings(results, skeleton=skeleton, fps=fps, offset=offset, weight=weight)
    for text in recordings.notes:
        note(text)
    check_sizes(rig, recordings)
    check_moments(recordings)
    shift = None if unchecked else check_geometry(rig, recordings)
    if shift is not None:
        note(shift)
    if has_tracks(recordings.views):
        note("every camera has track_id: the tracks decide who is the same person at different moments")
    try:
        people = triangulate(
            recordings.views,
            rig,
            weight=recordings.weight,
            fps=recordings.fps,
            offset=recordings.offset,
            watch=watch,
            **options,
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    files = write_poses3d(out, people, rate=None if rates is None else rates[0], y_up=y_up)
    return Reconstruction(people, rig, recordings, files)
