"""The records that every predictor takes and returns, `Image` and `Prediction`, and the base class of predictors."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.formats.photos import MAX_PIXELS, read_image
from trustpose.grouping.suppression import Suppress, suppressed
from trustpose.models.crop_outputs import PeopleFrom
from trustpose.models.spec import ModelSpec
from trustpose.poses import Photo, Poses
from trustpose.predict.boxes import Boxes, Detector, check_boxes
from trustpose.predict.images import ImageSource, as_rgb
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.origins import CallersImage, PhotoFile
from trustpose.skeletons import Skeleton

if TYPE_CHECKING:
    from trustpose.predict.calibrated import Calibrated
    from trustpose.predict.run import Done, Drawings, Step
    from trustpose.predict.sources import Sources

Item = TypeVar("Item")
Result = TypeVar("Result")

ImageBoxes = Boxes | Float[np.ndarray, "N 4"] | Sequence[Float[np.ndarray, "_ 4"] | None] | None


@dataclass(frozen=True, eq=False)
class Image:
    """One photo to predict: a file or RGB pixels, its people's boxes (None: the whole photo is one), its id.

    `size` (width, height), if given, is the size for which the boxes were made; a photo of another size is an error.
    `places` (N, K, 2), image pixels: given keypoints of these boxes, at which the trust head reads; NaN for the
    network's own. `origin` is where the pixels can be read again, if not from the source.
    """

    source: ImageSource
    boxes: Boxes | None = None
    image_id: int = 0
    size: tuple[int, int] | None = None
    places: Float[np.ndarray, "N K 2"] | None = None
    origin: Photo | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The result for one photo: its pixels and its people's poses, or the error that stopped it."""

    photo: Image
    poses: Poses
    pixels: UInt8[np.ndarray, "H W 3"] | None = None
    error: InputError | None = None


def no_poses(skeleton: Skeleton) -> Poses:
    """Return empty poses, (0, K)."""
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
    """Return a photo's pixels, RGB.

    Raises InputError if it cannot be read, has another size than expected or is a file with more than `max_pixels`, and
    if one of its boxes is invalid.
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


def _origin(photo: Image) -> Photo:
    """Return where the pixels of a photo can be read again."""
    if photo.origin is not None:
        return photo.origin
    return CallersImage.of(photo.source) if isinstance(photo.source, np.ndarray) else PhotoFile(Path(photo.source))


def boxes_of(boxes: object, count: int, is_one: bool) -> list[Boxes | None]:
    """Return each image's boxes, from any of the forms that `Predictor.__call__` takes."""
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


def prefetch(
    executor: Executor, work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[Result]:
    """Yield work(item) for each item, in order; at most `window` of them are in progress or waiting.

    Items are read on demand, so an endless source works. Errors of `work` are raised in order, and items that have not
    started by then are cancelled.
    """
    running: deque[Future[Result]] = deque()
    try:
        for item in items:
            running.append(executor.submit(work, item))
            if len(running) >= window:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


class BasePredictor(ABC):
    """What all predictors share: photos in, poses out.

    people: "photo" if the model finds people itself, "boxes" if it needs their boxes, "either". detector: finds the
    people of photos that come without boxes. calibrate: gives the poses a calibrator's trust. suppress: removes
    duplicates; suppress_detected: those in a detector's boxes, if there is no `suppress`. model, options: what
    `tp.load` was given. Subclasses implement `_predictions`.
    """

    name: str
    licence: str
    skeleton: Skeleton
    people: PeopleFrom
    threads: int
    max_pixels: int = MAX_PIXELS
    model: str = ""
    options: PredictOptions = PredictOptions()
    detector: Detector | None = None
    suppress: Suppress | None = None
    calibrate: "Calibrated | None" = None
    suppress_detected: Suppress | None = None

    def __call__(self, images: ImageSource | Sequence[ImageSource], boxes: ImageBoxes = None) -> Poses:
        """Return poses of the people in one image or several: files, or arrays (H, W, 3) RGB.

        boxes: xyxy in image pixels, (N, 4) for one image, a list of those for several; or `Boxes`, whose image_id then
        counts the images from 0. Without boxes, the detector or the model itself finds the people. `image_id` of the
        poses is the image's index in `images`; poses are sorted by image, in the order of the boxes, and `photos`
        says where each image can be read again. Raises InputError for an image that cannot be read, ValueError for
        arrays and boxes of a wrong shape, and for boxes that the model cannot use.
        """
        is_one = isinstance(images, (str, Path, np.ndarray))
        sources = [images] if is_one else list(images)
        photos = [
            Image(source, some, at)
            for at, (source, some) in enumerate(zip(sources, boxes_of(boxes, len(sources), is_one), strict=True))
        ]
        parts, known = [], {}
        for prediction in self.stream(photos):
            if prediction.error is not None:
                raise prediction.error
            known |= prediction.poses.photos or {}
            if len(prediction.poses):  # empty ones may lack columns
                parts.append(replace(prediction.poses, photos=None))
        if parts:
            return replace(Poses.concatenate(parts), photos=known)
        nobody = replace(self._nobody(), photos=known)
        return nobody if self.calibrate is None else self.calibrate.of_nobody(nobody)

    def judge(self, images: ImageSource | Sequence[ImageSource], poses: Poses) -> Poses:  # noqa: ARG002
        """Return the same poses, from any source, with this model's trust for them: see `Predictor.judge`. Raises
        InputError for a model without a trust head that can read at given keypoints."""
        raise InputError(f"{self.model}: has no trust head that can read at given keypoints")

    def stream(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        """Yield the prediction for each photo, in order, as soon as it is done; photos are read on demand."""
        predictions = self._predictions(photos)
        for prediction in predictions if self.calibrate is None else self.calibrate(predictions):
            is_detected = prediction.poses.box_score is not None
            suppress = self.suppress or (self.suppress_detected if is_detected else None)
            if suppress is not None:
                prediction = replace(prediction, poses=suppressed(prediction.poses, suppress))
            known = {prediction.photo.image_id: _origin(prediction.photo)}
            yield replace(prediction, poses=replace(prediction.poses, photos=known))

    def run(
        self,
        sources: "str | Path | Sequence[str | Path] | Sources",
        out: str | Path = "predictions",
        options: RunOptions = RunOptions(),  # noqa: B008
        *,
        drawings: "Drawings | None" = None,
        tell: "Callable[[Step], None] | None" = None,
        **given: Any,
    ) -> "Done":
        """Predict photos, folders, globs, or one video or webcam, and write to the folder `out`, as `trustpose predict`
        does without drawings; `given` are `RunOptions` by name.

        results.json there has COCO results; images.json lists the photos' ids if they were counted. An interrupted run
        continues with resume=True. drawings: an object that draws each prediction; tell: a callback for each finished
        photo or frame. Raises InputError; photos that cannot be read are skipped and counted.
        """
        run = import_module("trustpose.predict.run").run
        return run(self, sources, Path(out), replace(options, **given), drawings, tell)

    @abstractmethod
    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        """Yield each photo's prediction, in order, before calibration and suppression."""

    def _describe(self, spec: ModelSpec) -> None:
        self.model = str(spec.onnx)
        self.name, self.licence, self.skeleton, self.people = spec.name, spec.licence, spec.skeleton, spec.people

    def _nobody(self) -> Poses:
        return no_poses(self.skeleton)
