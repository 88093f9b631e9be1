"""Methods of `Poses` for users: show, draw and save them, read the photo that they came from."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.poses.expected_error import ExpectedError
from trustpose.poses.photo import Photo

if TYPE_CHECKING:
    from trustpose.poses.poses import Poses


class PosesDisplay:
    """Methods of `Poses` that need packages of higher layers: reading photos, drawing, files. The top-level `__init__`,
    which may import all of them, imports them when a method is called.
    """

    image_id: Int[np.ndarray, " N"] | None
    photos: Mapping[int, Photo] | None

    def image(self, image_id: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """Read the photo or video frame that the poses came from again, RGB; `image_id` selects one, if there are
        several.

        Files and frames are read from disk, so nothing is kept in memory; an array given to the predictor is only there
        as long as the caller keeps it. Raises ValueError if it is not known which photo, InputError if it cannot be
        read.
        """
        return self.photo(image_id).read()

    def photo(self, image_id: int | None = None) -> Photo:
        """Return the photo of `image` without reading it: its `name`, and `read()`. Raises ValueError."""
        photos = self.photos or {}
        if image_id is None:
            rows = self.image_id
            ids = sorted(photos) if rows is None or not len(rows) else np.unique(rows).tolist()
            if len(ids) > 1:
                raise ValueError(
                    f"image_id: the poses are on {len(ids)} photos, expected one of their ids ({ids[0]}, {ids[1]}, …); "
                    "poses.by_image() walks over them"
                )
            image_id = ids[0] if ids else None
        if image_id is None or image_id not in photos:
            which = "" if image_id is None else f" {image_id}"
            raise ValueError(f"photos: the photo{which} of these poses is not known; give it: poses.draw(image)")
        return photos[image_id]

    def draw(self, image: Any = None, **how: Any) -> UInt8[np.ndarray, "H W 3"]:
        """Return the photo with the poses drawn on it, RGB.

        image: anything that a predictor takes as one image; without one, the photo that the poses came from. `how` goes
        to `report.draw.draw_poses` (`min_score`, `legend`, …), and `channels="BGR"` is the channel order of an array.
        Raises ValueError if it is not known which photo or skeleton, InputError if the photo cannot be read.
        """
        return _above().draw(self, image, **how)

    def expected_error(self) -> ExpectedError | None:
        """Return how far the keypoints are expected to be from the truth, image pixels (N, K): the standard deviation
        of a good keypoint, the probability of a gross error and its standard deviation, and the radius of discs that
        hold the joint (`geometry.expected_error`). None without `quality`, or without a skeleton with sigmas."""
        return _above("pixel_error").expected_error(self)

    def keypoint_std(self) -> Float[np.ndarray, "N K"] | None:
        """Return `expected_error().std`: 1σ along each axis of a keypoint without gross error, image pixels (N, K)."""
        error = self.expected_error()
        return None if error is None else error.std

    def save(self, path: str | Path, image: Any = None, **how: Any) -> None:
        """Write the poses to a file, in the format of its suffix, atomically.

        .json: COCO results (docs/files.md); .csv and .parquet: the same rows as a table, with the photos' names, one
        row per keypoint with tidy=True; .jpg: the drawing of `draw`, with its `image` and options. Raises InputError
        for another suffix or a file that cannot be written, and as `to_coco` and `draw` do.
        """
        _above().save(self, path, image, **how)

    def _repr_html_(self) -> str:
        """Return what notebooks show: a small drawing if the photo is known and can be read, and a table of people."""
        return _above().html(self)


def file_names(poses: "Poses", rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of `to_coco` with the `file_name` of each one's photo, where it is known."""
    if not poses.photos or poses.image_id is None:
        return rows
    names = [photo.name if (photo := poses.photos.get(one)) else None for one in poses.image_id.tolist()]
    return [row if name is None else row | {"file_name": name} for row, name in zip(rows, names, strict=True)]


def _above(room: str = "poses_output") -> Any:
    """Return the module that draws and writes poses, or another one of a higher layer, which only the top-level package
    imports."""
    return getattr(import_module("trustpose"), room)
