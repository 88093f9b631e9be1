"""The output of `Poses`: `draw`, `save`, and the HTML of notebooks. See `poses.display`."""

import base64
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.images import Images
from trustpose.io.read_poses import PosesSource, poses_of
from trustpose.io.tables import FORMATS, write_table
from trustpose.notebook import html_line, html_table
from trustpose.poses import Photo, Poses, Visibility
from trustpose.predict.photos import as_rgb, read_pixels
from trustpose.report.draw import draw_poses
from trustpose.report.pictures import write_picture
from trustpose.skeletons import Skeleton

PICTURES = (".jpg", ".jpeg")
_LONGEST_SIDE = 480  # pixels of a drawing in a notebook
_MAX_DRAWINGS = 3
_MAX_ROWS = 10  # people listed in a notebook
_SPOKEN = {Visibility.ABSENT: "not visible", Visibility.OCCLUDED: "occluded", Visibility.VISIBLE: "visible"}


def draw(
    poses: PosesSource,
    image: Any = None,
    *,
    skeleton: Skeleton | None = None,
    style: str = "trust",
    min_score: float | None = None,
    legend: bool = True,
    channels: str = "RGB",
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a photo with poses drawn on it.

    Args:
        poses: the people of one photo, or the path of a results file with them.
        image: the photo, as a predictor takes one: a path, bytes, an array (H, W, 3), a Pillow image or a tensor.
            Without one, the photo that the poses came from.
        skeleton: whose limbs are drawn, instead of the poses' own.
        style: the meaning of colours: "trust" (`quality`), "parts" (left blue, right orange) or "people" (one colour
            each).
        min_score: joints with a lower raw score are left out.
        legend: whether a small legend explains the drawing.
        channels: the channel order of an array or tensor, "RGB" or "BGR".

    Returns:
        The picture (H, W, 3), RGB, 0–255.

    Raises:
        ValueError: if it is not known which photo or skeleton.
        InputError: if a file cannot be read.

    Example:
        >>> tp.draw("results.json", "photos/000001.jpg", style="people").shape
        (480, 640, 3)
    """
    poses = poses_of(poses)
    pixels = poses.image() if image is None else read_pixels(image, channels)
    return draw_poses(pixels, poses, skeleton, style=style, min_score=min_score, legend=legend)


def save(poses: Poses, path: str | Path, image: Any = None, **options: Any) -> None:
    """See `Poses.save`."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        _refuse_own_photo(poses, path)
        write_picture(path, draw(poses, image, **options))
        return
    if suffix[1:] not in FORMATS:
        expected = ", ".join((*(f".{name}" for name in FORMATS), *PICTURES))
        raise InputError(f"{path}: expected a name that ends in {expected}")
    if image is not None:
        raise ValueError(f"image: is for a drawing (.jpg), not for {path}")
    file_names = {} if suffix == ".json" else {image_id: photo.name for image_id, photo in (poses.photos or {}).items()}
    images = Images(np.array(list(file_names), dtype=np.int64), list(file_names.values()))
    write_table(path, poses, format=suffix[1:], images=images, **options)


def html(poses: Poses) -> str:
    """Return the HTML of `Poses` in a notebook: its line, drawings of its first photos, and a table of its first
    people. Texts from files are escaped; where a photo cannot be read, a line states it."""
    parts = [html_line(repr(poses)), *_drawings(poses)]
    if len(poses):
        parts.append(html_table(*_people(poses)))
    if len(poses) > _MAX_ROWS:
        parts.append(f"<div>… and {len(poses) - _MAX_ROWS} more</div>")
    if len(poses) == 1:
        parts.append(html_table(*_keypoints(poses)))
    return "\n".join(parts)


def _refuse_own_photo(poses: Poses, path: Path) -> None:
    for photo in (poses.photos or {}).values():
        source_path = getattr(photo, "path", None)
        if source_path is not None and path.exists() and Path(source_path).exists() and path.samefile(source_path):
            raise InputError(f"{path}: is the photo that the poses came from, expected another name for the drawing")


def _drawings(poses: Poses) -> list[str]:
    """Return an element for each of the first photos of the people: its drawing, or the reason why there is none."""
    if not poses.photos or poses.skeleton is None or poses.image_id is None:
        return []
    ids = np.unique(poses.image_id).tolist() if len(poses) else sorted(poses.photos)[:1]
    shown_photos = [(poses.photos[image_id], image_id) for image_id in ids if image_id in poses.photos]
    return [_drawing(photo, poses[poses.image_id == image_id]) for photo, image_id in shown_photos[:_MAX_DRAWINGS]]


def _drawing(photo: Photo, poses: Poses) -> str:
    try:
        pixels = photo.read()
    except InputError as error:
        return f"<div>{escape(str(error))}</div>"
    height, width = pixels.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        poses = replace(poses, xy=poses.xy * scale, box=None if poses.box is None else poses.box * scale)
    drawn = cv2.cvtColor(draw_poses(as_rgb(pixels), poses, legend=False), cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 85])
    data, name = base64.b64encode(content.tobytes()).decode(), escape(photo.name)
    return f'<img src="data:image/jpeg;base64,{data}" alt="poses on {name}" title="{name}">'


def _people(poses: Poses) -> tuple[list[str], list[list[str]]]:
    """Return the names and cells of a table of the first people: what is known of each."""
    photos, decided = poses.photos or {}, poses.decided_visibility
    rows: list[dict[str, str]] = []
    for person_index in range(min(len(poses), _MAX_ROWS)):
        pose = poses[person_index]
        row = {"person": str(person_index)}
        if pose.image_id is not None:
            image_id = int(pose.image_id[0])
            row["photo"] = photos[image_id].name if image_id in photos else f"id {image_id}"
        for name, column in (
            *(("presence", pose.presence), ("expected OKS", pose.pose_quality), ("own score", pose.pose_score)),
            *(("box score", pose.box_score), ("track", pose.track_id)),
        ):
            row |= {} if column is None else {name: _number(column[0])}
        if decided is not None:
            row |= {_SPOKEN[value]: str(int((decided[person_index] == value).sum())) for value in reversed(Visibility)}
        if (worst := _least_reliable(pose)) is not None:
            row["least reliable joint"] = worst
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [[row.get(name, "") for name in names] for row in rows]


def _keypoints(poses: Poses) -> tuple[list[str], list[list[str]]]:
    """Return the names and cells of a table of one person's keypoints, by joint name."""
    names = [str(k) for k in range(poses.keypoint_count)] if poses.skeleton is None else poses.skeleton.names
    columns: dict[str, Sequence[str]] = {"joint": names}
    columns |= {
        axis: [f"{value:.1f}" for value in poses.xy[0, :, axis_index].tolist()] for axis_index, axis in enumerate("xy")
    }
    for title, column in (("own score", poses.score), ("expected OPKS", poses.quality)):
        columns |= {} if column is None else {title: [_number(value) for value in column[0]]}
    if poses.visibility is not None:
        shares = {f"P({_SPOKEN[value]})": poses.visibility[0, :, value] for value in Visibility}
        columns |= {title: [_number(value) for value in share] for title, share in shares.items()}
    if poses.missing is not None:
        columns["found"] = ["no" if is_missing else "yes" for is_missing in poses.missing[0].tolist()]
    table = [list(cells) for cells in zip(*columns.values(), strict=True)]
    return list(columns), table


def _least_reliable(pose: Poses) -> str | None:
    """Return the joint of a person with the lowest expected OPKS, or else the lowest score, and that number; joints
    that are missing or most likely absent do not count."""
    trust = pose.score if pose.quality is None else pose.quality
    if trust is None:
        return None
    decided = pose.decided_visibility
    left_out = np.zeros(pose.keypoint_count, bool) if pose.missing is None else pose.missing[0]
    left_out = left_out if decided is None else left_out | (decided[0] == Visibility.ABSENT)
    trust_of_present = np.where(left_out, np.nan, trust[0])
    if np.isnan(trust_of_present).all():
        return None
    joint = int(np.nanargmin(trust_of_present))
    return f"{joint if pose.skeleton is None else pose.skeleton.names[joint]} ({trust_of_present[joint]:.2f})"


def _number(value: Any) -> str:
    return "" if value != value else str(int(value)) if isinstance(value, np.integer) else f"{float(value):.2f}"


def show_picture(pixels: UInt8[np.ndarray, "H W 3"]) -> None:
    """Show a picture (H, W, 3), RGB."""
    path = _new_folder() / "poses.jpg"
    write_picture(path, pixels)
    notebook = _notebook()
    if notebook is None:
        webbrowser.open(path.as_uri())
    else:
        notebook.display(notebook.Image(filename=str(path)))


def show_page(html: str) -> None:
    """Show a page of HTML that needs no other file."""
    notebook = _notebook()
    if notebook is not None:
        notebook.display(notebook.HTML(html))
        return
    path = _new_folder() / "page.html"
    path.write_text(html, encoding="utf-8")
    webbrowser.open(path.as_uri())


def _new_folder() -> Path:
    """Return a new temporary folder. It stays, since the browser reads it after this process has ended."""
    return Path(tempfile.mkdtemp(prefix="trustpose-"))


def _notebook() -> Any:
    """Return `IPython.display` in a notebook, None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return import_module("IPython.display") if hasattr(shell, "kernel") else None
