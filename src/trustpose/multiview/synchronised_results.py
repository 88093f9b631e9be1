"""Synchronise the clips of several cameras from files: what `trustpose cameras synchronise` does."""

from collections.abc import Callable, Sequence
from pathlib import Path

from trustpose.files import InputError
from trustpose.multiview.recordings import read_recordings
from trustpose.multiview.synchronisation import Shifts, synchronise


def synchronise_results(
    results: Sequence[Path],
    longest: float | None = None,
    *,
    fps: str | None,
    weight: str = "auto",
    skeleton: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[list[float], Shifts]:
    """Find the time between the clips of cameras that saw the same people move.

    Args:
        results: the poses of each camera.
        longest: shift that is considered, seconds; None: half a clip.
        fps, weight, skeleton: see `recordings.read_recordings`.
        note: is called with what the user should know of the files.

    Returns:
        The frames a second of each camera, and the shifts.

    Raises:
        InputError: naming the file or option at fault.
    """
    if len(results) < 2:
        raise InputError(f"RESULTS: expected the poses of two cameras or more, got {len(results)}")
    recordings = read_recordings(results, skeleton=skeleton, fps=fps, weight=weight)
    if recordings.fps is None:
        raise InputError("--fps: expected the frames a second of the cameras, which offsets in seconds need")
    for text in recordings.notes:
        note(text)
    try:
        return recordings.fps, synchronise(recordings.views, recordings.fps, recordings.weight, longest)
    except ValueError as error:
        raise InputError(str(error)) from None
