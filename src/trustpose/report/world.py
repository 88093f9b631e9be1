"""A page of people and cameras in the world: one self-contained HTML file to turn, zoom and play, also offline.

The script is ours and is named in the page's policy by its hash, so that the browser runs nothing else.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from jaxtyping import Float
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trustpose.files import atomic_write
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.poses import MISSING_ID, Poses3D
from trustpose.version import __version__

MAX_FRAMES = 3000  # in a page; of longer clips every second, third … frame is shown
_DIGITS = 3  # millimetres
_USUAL_RATE = 25.0
_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)


def write_world_page(
    path: str | Path, poses: Poses3D, cameras: Cameras | None = None, title: str = "People", summary: str | None = None
) -> None:
    """Write the page. Raises InputError if the file cannot be written."""
    html = world_page(poses, cameras, title, summary).encode()
    with atomic_write(path) as file:
        file.write(html)


def world_page(
    poses: Poses3D, cameras: Cameras | None = None, title: str = "People", summary: str | None = None
) -> str:
    """Return the page as HTML: people frame by frame, coloured by trust or by person, and the cameras' pyramids.

    summary: shown below the title instead of the table of people, for points that do not belong to people.
    """
    script = (Path(__file__).parent / "world.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    value = _data(poses, cameras or Cameras(()))
    # a "<" in JSON text could end the element, so it is written as an escape that JSON reads as the same
    data = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace("<", "\\u003c")
    return _TEMPLATES.get_template("world.html.jinja").render(
        title=title,
        summary=_summary(poses, cameras) if summary is None else summary,
        digest=digest,
        script=script,
        data=data,
        frames=len(value["frames"]),
        has_quality=poses.quality is not None,
        rows=_rows(poses) if summary is None else [],
        version=__version__,
    )


def _summary(poses: Poses3D, cameras: Cameras | None) -> str:
    frames, people = len(np.unique(_frames(poses))), len(np.unique(_people(poses)))
    counts = [(people, "person", "people"), (frames, "frame", "frames"), (len(cameras or ()), "camera", "cameras")]
    return ", ".join(f"{count:,} {singular if count == 1 else plural}" for count, singular, plural in counts)


def _frames(poses: Poses3D) -> np.ndarray:
    return np.arange(len(poses)) if poses.frame is None else poses.frame


def _people(poses: Poses3D) -> np.ndarray:
    return np.full(len(poses), MISSING_ID) if poses.track_id is None else poses.track_id


def _rows(poses: Poses3D) -> list[list[str]]:
    """Return a line of numbers for each person."""
    rows, person = [], _people(poses)
    for person_id in np.unique(person).tolist():
        person_poses = poses[person == person_id]
        has_position = np.isfinite(person_poses.xyz[..., 0])
        cameras = (
            "–"
            if person_poses.camera_count is None or not has_position.any()
            else f"{person_poses.camera_count[has_position].mean():.1f}"
        )
        error = (
            "–" if person_poses.error is None or not has_position.any() else f"{np.nanmedian(person_poses.error):.1f}"
        )
        rows.append(
            [
                str(person_id) if person_id != MISSING_ID else "–",
                str(len(person_poses)),
                cameras,
                error,
                f"{has_position.mean():.0%}",
            ]
        )
    return rows


def _data(poses: Poses3D, cameras: Cameras) -> dict[str, Any]:
    axes = up_axes(cameras)
    points = poses.xyz.reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    around = points if len(points) else np.array([camera.centre for camera in cameras]).reshape(-1, 3)
    middle = np.median(around, axis=0) if len(around) else np.zeros(3)
    spread = float(np.quantile(np.linalg.norm(around - middle, axis=1), 0.98)) if len(around) else 1.0
    everything = np.array([*around, *[camera.centre for camera in cameras]]).reshape(-1, 3)
    radius = max(spread, 1.0, 0.7 * float(np.linalg.norm(everything - middle, axis=1).max(initial=0)))
    low = float(np.quantile(points @ axes[2], 0.005)) if len(points) else float(middle @ axes[2])
    edges = [] if poses.skeleton is None else [list(edge) for edge in poses.skeleton.edges]
    return {
        "axes": axes.round(6),
        "centre": middle.round(_DIGITS),
        "radius": round(radius, 3),
        "turn": 0.6,
        "rate": _rate(poses),
        "edges": edges,
        "ground": ground_lines(axes, middle, low, radius),
        "cameras": [{"name": camera.name, "corners": _pyramid(camera, radius)} for camera in cameras],
        "frames": _frame_values(poses),
    }


def up_axes(cameras: Cameras) -> Float[np.ndarray, "3 3"]:
    """Return two directions of the ground and up, in rows: up is the axis of the world nearest to the mean of the
    cameras' own, z without cameras."""
    up = np.array([0.0, 0.0, 1.0])
    if len(cameras):
        mean = -np.mean([camera.rotation[1] for camera in cameras], axis=0)
        axis = int(np.abs(mean).argmax())
        up = np.sign(mean[axis] or 1.0) * np.eye(3)[axis]
    ground_axis = np.eye(3)[(int(np.abs(up).argmax()) + 1) % 3]
    return np.stack([ground_axis, np.cross(up, ground_axis), up])


def _rate(poses: Poses3D) -> float:
    if poses.time is None or len(poses) < 2:
        return _USUAL_RATE
    seconds = np.unique(poses.time)
    return float(np.clip(1 / np.median(np.diff(seconds)), 1, 60)) if len(seconds) > 1 else _USUAL_RATE


def ground_lines(axes: np.ndarray, middle: np.ndarray, low: float, radius: float) -> list[Any]:
    """Return the lines of a grid at the height of the feet, a metre apart."""
    centre = middle + (low - middle @ axes[2]) * axes[2]
    reach = min(int(np.ceil(radius)), 20)
    lines = []
    for offset in range(-reach, reach + 1):
        for along, across in ((axes[0], axes[1]), (axes[1], axes[0])):
            ends = [centre + offset * across + side * reach * along for side in (-1, 1)]
            lines.append([end.round(_DIGITS) for end in ends])
    return lines


def _pyramid(camera: Camera, radius: float) -> list[np.ndarray]:
    """Return the camera's centre and the corners of its image plane, drawn at 8 % of the scene's radius before it."""
    width, height = camera.size or (2 * camera.matrix[0, 2], 2 * camera.matrix[1, 2])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) - 0.5
    length = 0.08 * radius
    # along straight rays: a lens's distortion may not be known as far as the corners
    plane = np.linalg.solve(camera.matrix, np.concatenate([corners, np.ones((4, 1))], axis=1).T).T
    ends = camera.centre + length * plane @ camera.rotation
    return [point.round(_DIGITS) for point in (camera.centre, *ends)]


def _frame_values(poses: Poses3D) -> list[dict[str, Any]]:
    frame, person = _frames(poses), _people(poses)
    numbers = np.unique(frame)
    numbers = numbers[:: max(1, -(-len(numbers) // MAX_FRAMES))]
    frame_values = []
    for number in numbers.tolist():
        rows = np.flatnonzero(frame == number)
        time = None if poses.time is None else float(poses.time[rows[0]])
        people = [_person(poses, row, person[row]) for row in rows.tolist()]
        frame_values.append({"frame": number, "time": time, "people": people})
    return frame_values


def _person(poses: Poses3D, row: int, number: int) -> dict[str, Any]:
    xyz = [None if np.isnan(point).any() else point.round(_DIGITS).tolist() for point in poses.xyz[row]]
    value: dict[str, Any] = {"id": int(number), "xyz": xyz}
    if poses.quality is not None:
        value["q"] = _rounded(poses.quality[row])
    return value


def _rounded(values: np.ndarray) -> Sequence[float | None]:
    return [None if value != value else round(value, 3) for value in values.tolist()]
