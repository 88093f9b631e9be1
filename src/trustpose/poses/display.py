"""Methods of `Poses` for users: load and save them, draw and show them, read the photo that they came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.poses.error_model import ExpectedError
from trustpose.poses.rows import Photo

if TYPE_CHECKING:
    from trustpose.skeletons import Skeleton

_P = TypeVar("_P", bound="PosesDisplay")


class PosesDisplay:
    """Methods of `Poses` that need packages of higher layers: reading and writing files, drawing, errors in pixels.
    They import these packages when they are called; the layer check lists them as its only exceptions.
    """

    image_id: Int[np.ndarray, " N"] | None
    photos: Mapping[int, Photo] | None

    @classmethod
    def load(
        cls: type[_P], path: str | Path | Sequence[str | Path], *, skeleton: "Skeleton | str | Path | None" = None
    ) -> _P:
        """Read the poses in a results file of any known format: see `trustpose.read_poses`.

        Example:
            >>> tp.Poses.load("results.json")
            Poses(60 people, 17 keypoints (coco17), 30 photos; filled: xy, score, pose_score, image_id)
        """
        from trustpose.io.read_poses import read_poses

        return read_poses(path, skeleton=skeleton)  # type: ignore[bad-return]

    def image(self, image_id: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """Read the photo or video frame that the poses came from again.

        Files and frames are read from disk, so nothing is kept in memory; an array given to the predictor is only there
        as long as the caller keeps it.

        Args:
            image_id: which photo, if there are several.

        Returns:
            Its pixels (H, W, 3), RGB, 0–255.

        Raises:
            ValueError: if it is not known which photo.
            InputError: if the photo cannot be read.
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

    def draw(
        self,
        image: Any = None,
        *,
        skeleton: "Skeleton | None" = None,
        style: str = "trust",
        min_score: float | None = None,
        legend: bool = True,
        channels: str = "RGB",
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Return the photo with the poses drawn on it: see `trustpose.draw`, which has the same arguments.

        Example:
            >>> poses = tp.read_poses("results.json")
            >>> poses[poses.image_id == 1].draw("photos/000001.jpg").shape
            (480, 640, 3)
        """
        from trustpose.report.poses_output import draw

        options: dict[str, Any] = {"skeleton": skeleton, "style": style, "min_score": min_score, "legend": legend}
        return draw(self, image, channels=channels, **options)  # type: ignore[bad-argument-type]

    def show(self, image: Any = None, **options: Any) -> None:
        """Show the photo with the poses drawn on it: in the notebook, or else in the browser.

        Args:
            image: as for `draw`; without one, the photo that the poses came from.
            options: those of `draw`, by name.
        """
        from trustpose.report.poses_output import draw, show_picture

        show_picture(draw(self, image, **options))  # type: ignore[bad-argument-type]

    def expected_error(self) -> ExpectedError | None:
        """Return how far the keypoints are expected to be from the truth, image pixels (N, K): the standard deviation
        of a good keypoint, the probability of a gross error and its standard deviation, and the radius of discs that
        hold the joint (`geometry.expected_error`). None without `quality`, or without a skeleton with sigmas."""
        from trustpose.geometry.expected_error import expected_error

        return expected_error(self)  # type: ignore[bad-argument-type]

    def keypoint_std(self) -> Float[np.ndarray, "N K"] | None:
        """Return `expected_error().std`: 1σ along each axis of a keypoint without gross error, image pixels (N, K)."""
        error = self.expected_error()
        return None if error is None else error.std

    def save(self, path: str | Path, image: Any = None, **options: Any) -> None:
        """Write the poses to a file, in the format of its suffix, atomically.

        Args:
            path: .json for COCO results, .csv or .parquet for the same rows as a table with the photos' names
                (https://trustpose.github.io/trustpose/files.html), .jpg for the drawing of `draw`.
            image: for a drawing, as for `draw`.
            options: of a drawing, those of `draw`; of a table, tidy=True for one row per keypoint.

        Raises:
            InputError: for another suffix, and if the file cannot be written.
            ValueError: as `to_coco` and `draw` do.

        Example:
            >>> tp.read_poses("results.json").save("results.csv", tidy=True)
        """
        from trustpose.report.poses_output import save

        save(self, path, image, **options)  # type: ignore[bad-argument-type]

    def _repr_html_(self) -> str:
        """Return what notebooks show: a small drawing if the photo is known and can be read, and a table of people."""
        from trustpose.report.poses_output import html

        return html(self)  # type: ignore[bad-argument-type]


def add_file_names(
    rows: list[dict[str, Any]], image_id: Int[np.ndarray, " N"] | None, photos: Mapping[int, Photo] | None
) -> list[dict[str, Any]]:
    """Return rows of `to_coco` with the `file_name` of each one's photo, where it is known."""
    if not photos or image_id is None:
        return rows
    names = [photo.name if (photo := photos.get(image)) else None for image in image_id.tolist()]
    return [row if name is None else row | {"file_name": name} for row, name in zip(rows, names, strict=True)]
