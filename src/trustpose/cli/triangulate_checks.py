"""Checks of `trustpose triangulate`: do the poses belong to these cameras?"""

from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.files import InputError

_MUCH = 0.75  # of the distance as given: below, frames are too far apart in time to triangulate

if TYPE_CHECKING:
    from trustpose.geometry.cameras import Cameras
    from trustpose.poses import Poses


def check_counts(rig: "Cameras", named: list[Path], cameras: list[Path]) -> None:
    if len(named) < 2:
        raise InputError(f"--results: expected the poses of two cameras or more, got {len(named)}")
    if len(named) != len(rig):
        names = ", ".join(rig.names)
        raise InputError(
            f"{cameras[0]}: holds {len(rig)} cameras ({names}), but poses of {len(named)} are given; expected one file "
            "or folder for each, in this order"
        )


def check_sizes(rig: "Cameras", views: "list[Poses]", named: list[Path]) -> None:
    """Refuse poses that lie outside their camera's image: the calibration was made at another resolution."""
    import numpy as np

    for camera, view, source in zip(rig, views, named, strict=True):
        if camera.size is None:
            continue
        there = np.isfinite(view.xy).all(axis=2)
        there &= True if view.missing is None else ~view.missing
        xy, size = view.xy[there], np.array(camera.size)
        outside = ((xy < -0.1 * size) | (xy > 1.1 * size)).any(axis=1)
        if len(xy) and outside.mean() > 0.05:
            width, height = camera.size
            raise InputError(
                f"{source}: {outside.mean():.0%} of the keypoints lie outside the {width} × {height} image that camera "
                f"{camera.name!r} was calibrated for (they reach {xy[:, 0].max():.0f}, {xy[:, 1].max():.0f}); expected "
                "a calibration for the size of these images, in the order of the cameras"
            )


def check_fit(
    rig: "Cameras",
    views: "list[Poses]",
    named: list[Path],
    fps: list[float] | None,
    offset: list[float] | None,
    *,
    weight: str,
    unchecked: bool,
) -> None:
    """Refuse poses of which no frame shows the same moment, and, unless `unchecked`, poses that do not fit the epipolar
    geometry of the cameras, or only in another order or at other times."""
    import numpy as np

    from trustpose.multiview.frames import match_frames
    from trustpose.multiview.order import describe_misfit

    try:
        moments = match_frames(views, fps, offset)
    except ValueError as error:
        raise InputError(str(error)) from None
    seen = np.array([[len(rows) > 0 for rows in view] for view in moments.rows])
    if not (seen.sum(axis=0) >= 2).any():
        spans = ", ".join(f"{path.name} has frames {_span(view)}" for path, view in zip(named, views, strict=True))
        raise InputError(f"no moment is in the poses of two cameras: {spans}; --fps and --offset say how they belong")
    why = None if unchecked else describe_misfit(views, moments, rig)
    if why is not None:
        raise InputError(f"{why} (--unchecked goes on)")
    if not unchecked:
        _check_times(rig, views, fps, offset, weight)


def _check_times(
    rig: "Cameras", views: "list[Poses]", fps: list[float] | None, offset: list[float] | None, weight: str
) -> None:
    """Refuse clips of which one is shifted in time; a shift that costs little is only said."""
    import typer

    from trustpose.multiview.shifts import describe_shifts, fit_times

    fit = fit_times(views, rig, fps, offset, weight)
    why = describe_shifts(fit, rig.names)
    if why is None:
        return
    starts = [0.0] * len(rig) if offset is None else offset
    if fps is None:
        seconds = "with --fps R, --offset " + ",".join("0" if not one else f"{one}/R" for one in fit.shift.tolist())
    else:
        both = zip(starts, fit.shift.tolist(), strict=True)
        seconds = "--offset " + ",".join(f"{start + one / max(fps):.4g}" for start, one in both)
    if (fit.best < _MUCH * fit.current).any():
        raise InputError(f"{why}; {seconds} would mend it (--unchecked goes on)")
    typer.echo(f"{why}; {seconds} would mend it", err=True)


def _span(view: "Poses") -> str:
    if view.image_id is None or not len(view):
        return "none"
    return f"{view.image_id.min()} to {view.image_id.max()}"
