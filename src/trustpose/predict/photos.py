"""Photos on their way in and poses on their way out: the records that every predictor takes and gives."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.formats.image_size import MAX_PIXELS
from trustpose.formats.photos import read_image
from trustpose.poses import Poses
from trustpose.predict.boxes import Boxes, check_boxes
from trustpose.predict.images import as_rgb
from trustpose.skeletons import Skeleton

ImageSource = str | Path | np.ndarray
ImageBoxes = Boxes | Float[np.ndarray, "N 4"] | Sequence[Float[np.ndarray, "_ 4"] | None] | None


@dataclass(frozen=True, eq=False)
class Image:
    """One photo to predict on: a file or RGB pixels, its people's boxes (None: the whole photo is one), its id.

    `size` (width, height), where given, is what the boxes were made for; a photo of another size is an error.
    """

    source: ImageSource
    boxes: Boxes | None = None
    image_id: int = 0
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What became of one photo: its pixels and its people's poses, or the error that stopped it."""

    photo: Image
    poses: Poses
    pixels: UInt8[np.ndarray, "H W 3"] | None = None
    error: InputError | None = None


def predict_images(
    stream: Callable[[Iterable[Image]], Iterator[Prediction]],
    images: ImageSource | Sequence[ImageSource],
    boxes: ImageBoxes,
    nobody: Poses,
) -> Poses:
    """The poses of the people in one image or several, image by image; `nobody` where there are none.

    `image_id` is the image's place in `images`, as it is in `boxes`. Raises InputError for an image that cannot be
    read, ValueError for arrays and boxes of a wrong shape.
    """
    is_one = isinstance(images, (str, Path, np.ndarray))
    sources = [images] if is_one else list(images)
    photos = [
        Image(source, some, at)
        for at, (source, some) in enumerate(zip(sources, boxes_of(boxes, len(sources), is_one), strict=True))
    ]
    parts = []
    for prediction in stream(photos):
        if prediction.error is not None:
            raise prediction.error
        if len(prediction.poses):  # empty ones may lack a column
            parts.append(prediction.poses)
    return Poses.concatenate(parts) if parts else nobody


def no_poses(skeleton: Skeleton) -> Poses:
    """Poses of nobody, (0, K)."""
    keypoints = len(skeleton)
    return Poses(
        xy=np.zeros((0, keypoints, 2)),
        score=np.zeros((0, keypoints)),
        pose_score=np.zeros(0),
        box=np.zeros((0, 4)),
        image_id=np.zeros(0, np.int64),
        skeleton=skeleton,
    )


def open_photo(photo: Image, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """A photo's pixels, RGB.

    Raises InputError where it cannot be read, is not of the size that it should be or is a file of more than
    `max_pixels`, and where one of its boxes cannot be a person's.
    """
    pixels = as_rgb(photo.source) if isinstance(photo.source, np.ndarray) else read_image(photo.source, max_pixels)
    height, width = pixels.shape[:2]
    if photo.size is not None and photo.size != (width, height):
        expected = f"{photo.size[0]} × {photo.size[1]}"
        raise InputError(f"{photo.source}: is {width} × {height} pixels, but its boxes are for one of {expected}")
    if photo.boxes is not None:
        name = f"image {photo.image_id}" if isinstance(photo.source, np.ndarray) else str(photo.source)
        check_boxes(photo.boxes, width, height, name)
    return pixels


def boxes_of(boxes: object, count: int, is_one: bool) -> list[Boxes | None]:
    """Each image's boxes, from any of the forms that `Predictor.__call__` takes."""
    if boxes is None:
        return [None] * count
    if isinstance(boxes, Boxes):
        if len(boxes) and (boxes.image_id.min() < 0 or boxes.image_id.max() >= count):
            raise ValueError(f"boxes: expected image_id from 0 to {count - 1}, the images' places")
        return list(boxes.of_images(np.arange(count)))
    arrays = [boxes] if is_one and isinstance(boxes, np.ndarray) else boxes
    if not isinstance(arrays, Sequence) or len(arrays) != count:
        got = len(arrays) if isinstance(arrays, Sequence) else type(arrays).__name__
        raise ValueError(f"boxes: expected one array (N, 4) for each of the {count} images, got {got}")
    found: list[Boxes | None] = []
    for at, some in enumerate(arrays):
        array = None if some is None else np.asarray(some, dtype=np.float64)
        if array is not None and not array.size:
            array = array.reshape(0, 4)
        if array is not None and (array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all()):
            raise ValueError(f"boxes of image {at}: expected finite xyxy of shape (N, 4), got {array.shape}")
        found.append(None if array is None else Boxes(array, np.full(len(array), at)))
    return found
