"""C3D, the binary files of motion capture, written and read by the package `c3d` (the extra `cameras`).

Format: c3d.org. Points in millimetres with names; a point without a position has the residual −1. The people of a frame
are one list of points, so with several of them a name begins with "person", its number and "_". Residuals of points
with a position are 0: in the format they are errors of markers in millimetres, which ours are not.
"""

import io
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.extras import not_installed
from trustpose.files import InputError, atomic_write, read_bytes
from trustpose.io.poses3d.columns import skeleton_named
from trustpose.poses import Poses3D

_MM = 1000.0  # of a metre
_MOST_POINTS, _MOST_FRAMES = 255, 65535  # what the header counts to


def package() -> Any:
    """Return the package `c3d`. Raises InputError with the install line."""
    try:
        return import_module("c3d")
    except ImportError:
        raise InputError(not_installed("c3d", "cameras")) from None


def write(
    path: str | Path, xyz: Float[np.ndarray, "F K 3"], names: tuple[str, ...], first_frame: int, rate: float
) -> None:
    """Write frames of named points in metres, `rate` of them a second, numbered from `first_frame`.

    Raises InputError for more points or frames than the format holds.
    """
    if len(names) > _MOST_POINTS or first_frame + len(xyz) > _MOST_FRAMES:
        limits = f"{_MOST_POINTS} points and frame {_MOST_FRAMES}"
        raise InputError(f"{path}: C3D holds up to {limits}, got {len(names)} and {first_frame + len(xyz)}")
    writer = package().Writer(point_rate=rate, point_scale=-1.0, point_units="mm  ")
    writer.set_point_labels(list(names))
    writer.set_start_frame(first_frame + 1)  # frames are counted from 1 there
    has_position = np.asarray(np.isfinite(xyz).all(axis=2))
    points = np.zeros((*xyz.shape[:2], 5))
    points[..., :3] = np.where(has_position[..., None], xyz * _MM, np.nan)
    points[..., 3] = np.where(has_position, 0.0, -1.0)
    writer.add_frames([(frame, np.zeros((0, 0))) for frame in points])
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no analog channels
        writer.write(content)
    with atomic_write(path) as file:
        file.write(content.getvalue())


def read(path: str | Path) -> Poses3D:
    """Read all points as one person per frame, in metres. Raises InputError."""
    content = read_bytes(path, "C3D")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no analog channels
            reader = package().Reader(io.BytesIO(content))
            names = [label.strip() for label in reader.point_labels]
            frames = [(number, points) for number, points, _ in reader.read_frames()]
            unit = reader.get_string("POINT:UNITS").strip() if "POINT:UNITS" in reader else "mm"
            rate = float(reader.point_rate)
    except InputError:
        raise
    except Exception as error:  # the package raises whatever a wrong byte leads to
        raise InputError(f"{path}: is not a readable C3D file ({error})") from None
    metres = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}.get(unit)
    if metres is None or rate <= 0:
        raise InputError(f"{path}: expected points in mm, cm or m and a frame rate, got {unit!r} and {rate:g}")
    points = np.array([points_of_frame for _, points_of_frame in frames], dtype=np.float64)
    if not names or points.shape != (len(frames), len(names), 5):
        raise InputError(f"{path}: expected points in every frame, with a label each, got {len(names)} labels")
    xyz = np.where((points[..., 3] < 0)[..., None], np.nan, points[..., :3] * metres)
    number = np.array([frame_number for frame_number, _ in frames], dtype=np.int64) - 1
    try:
        return Poses3D(xyz, frame=number, time=number / rate, skeleton=skeleton_named(names))
    except ValueError as error:
        raise InputError(f"{path}: points: {error}") from None
