"""The records that every predictor takes and returns, `Image` and `Prediction`, and the base class of predictors."""

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.formats.photos import MAX_PIXELS, SUFFIXES, read_image
from trustpose.grouping.suppression import Suppress, suppressed
from trustpose.models.crop_outputs import PeopleFrom
from trustpose.models.spec import ModelSpec
from trustpose.notebook import html_record
from trustpose.poses import ErrorModel, Photo, Poses
from trustpose.predict.boxes import Boxes, Detector, boxes_of, check_box_format, check_boxes
from trustpose.predict.images import is_webcam, read_pixels
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.origins import PHOTOS, CallersImage, PhotoFile
from trustpose.predict.present import present_people
from trustpose.skeletons import Skeleton

if TYPE_CHECKING:
    from trustpose.predict.calibrated import Calibrated
    from trustpose.predict.run import Done, Drawings, Step
    from trustpose.predict.sources import Sources

Item = TypeVar("Item")
Result = TypeVar("Result")

ImageSource = Any  # one photo: a path, pixels, or another form of `images.read_pixels`; or one of `origins.PHOTOS`
ImageBoxes = Any  # `Boxes`, xyxy (N, 4) as an array or list, a list of these, or None: see `boxes_of`


@dataclass(frozen=True, eq=False)
class Image:
    """One photo to predict: a file or pixels, its people's boxes (None: the whole photo is one), its id.

    `size` (width, height), if given, is the size for which the boxes were made; a photo of another size is an error.
    `places` (N, K, 2), image pixels: given keypoints of these boxes, at which the trust head reads; NaN for the
    network's own. `origin` is where the pixels can be read again, if not from the source. `channels` is the order of an
    array's: "RGB" or "BGR".
    """

    source: ImageSource
    boxes: Boxes | None = None
    image_id: int = 0
    size: tuple[int, int] | None = None
    places: Float[np.ndarray, "N K 2"] | None = None
    origin: Photo | None = None
    channels: str = "RGB"


@dataclass(frozen=True, eq=False)
class Prediction:
    """The result for one photo: its pixels and its people's poses, or the error that stopped it. `left_out` counts the
    people below the predictor's `min_presence` and doubles of others."""

    photo: Image
    poses: Poses
    pixels: UInt8[np.ndarray, "H W 3"] | None = None
    error: InputError | None = None
    left_out: int = 0


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
    source = photo.source
    if isinstance(source, (str, Path)):
        pixels = read_image(source, max_pixels)
    else:
        pixels = source.read() if isinstance(source, PHOTOS) else read_pixels(source, photo.channels)
    height, width = pixels.shape[:2]
    if photo.size is not None and photo.size != (width, height):
        expected = f"{photo.size[0]} × {photo.size[1]}"
        raise InputError(f"{_name(photo)}: is {width} × {height} pixels, but its boxes are for one of {expected}")
    if photo.boxes is not None:
        check_boxes(photo.boxes, width, height, _name(photo))
    return pixels


def _is_photo_file(given: Any) -> bool:
    """Return whether this is the path of a photo file, by its suffix: the usual case, to be decided at once."""
    return isinstance(given, (str, Path)) and str(given).lower().endswith(SUFFIXES) and os.path.isfile(given)  # noqa: PTH113 (raises nothing)


def _name(photo: Image) -> str:
    origin = _origin(photo)
    return f"image {photo.image_id}" if isinstance(origin, CallersImage) else origin.name


def _origin(photo: Image) -> Photo:
    """Return where the pixels of a photo can be read again."""
    source = photo.source
    if photo.origin is not None:
        return photo.origin
    if isinstance(source, (str, Path)):
        return PhotoFile(Path(source))
    return source if isinstance(source, PHOTOS) else CallersImage.of(source, photo.channels)


def prefetch(
    executor: Executor, work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Generator[Result, None, None]:
    """Yield work(item) for each item, in order; at most `window` of them are in progress or waiting.

    Items are read on demand, so an endless source works. Errors of `work` are raised in order; items that have not
    started by then are cancelled, and those in progress are waited for.
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
        wait([future for future in running if not future.cancel()])


class BasePredictor(ABC):
    """What all predictors share: photos in, poses out.

    people: "photo" if the model finds people itself, "boxes" if it needs their boxes, "either". detector: finds the
    people of photos that come without boxes. min_presence: the least `presence` of the people that are returned: the
    option's, else the calibrator's or the model's. calibrate: gives the poses a calibrator's trust. suppress: removes
    duplicates; suppress_detected: those in a detector's boxes, if there is no `suppress`. model, options: what
    `tp.load` was given. Subclasses implement `_predictions`.
    """

    name: str
    licence: str
    skeleton: Skeleton
    people: PeopleFrom
    threads: int
    device: str = "cpu"
    max_pixels: int = MAX_PIXELS
    model: str = ""
    options: PredictOptions = PredictOptions()
    detector: Detector | None = None
    min_presence: float = 0.0
    suppress: Suppress | None = None
    calibrate: "Calibrated | None" = None
    suppress_detected: Suppress | None = None

    @property
    def error_model(self) -> ErrorModel | None:
        """Which discs of `expected_error` hold for its poses; None if unknown."""
        return None if self.calibrate is None else self.calibrate.calibrator.errors

    def __repr__(self) -> str:
        """One line: the model, its device, its skeleton and where people come from."""
        calibrated = "" if self.calibrate is None else ", with a calibrator"
        return f"{type(self).__name__}({self.name} on {self.device}: {self.skeleton.name}, {self._finds}{calibrated})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of what the model is."""
        fields = [("model", self.model), ("licence", self.licence), ("keypoints", len(self.skeleton))]
        return html_record(repr(self), [*fields, ("least presence of people", f"{self.min_presence:g}")])

    @property
    def _finds(self) -> str:
        """How the people of photos without boxes are found, in words."""
        if self.people == "photo":
            return "finds people by itself"
        return "one person in each photo" if self.detector is None else "people from a detector or given boxes"

    def __call__(
        self, images: Any, boxes: ImageBoxes = None, *, box_format: str = "xyxy", frames: int | None = None, **how: Any
    ) -> Poses:
        """Return poses of the people in one image or several, or in the frames of a video.

        images: a photo's or video's path, a folder, a pattern ("photos/*.jpg"), an address (http, https), a webcam's
        number with `frames`; the bytes of a photo file; an array (H, W, 3), RGB; a Pillow image; a torch tensor
        (3, H, W), uint8 or from 0 to 1; a list or iterator of these; or (B, …) of arrays or tensors. channels="BGR":
        arrays and tensors are BGR. recursive=True: subfolders too. frames: at most so many of each video.

        boxes: xyxy in image pixels, or with box_format="xywh" x, y, width and height; (N, 4) as an array or a list for
        one image, a list of those for several; or `Boxes`, whose image_id then counts the images from 0. Without boxes,
        the detector or the model itself finds the people.

        `image_id` of the poses is the number of the image or frame, from 0; poses are sorted by image, in the order of
        the boxes, and `photos` has where each image can be read again. Raises InputError for an image that cannot be
        read and for boxes that are empty, outside their photo or fractions of it; ValueError for anything that is no
        image, boxes of a wrong shape, and boxes that the model cannot use.
        """
        if frames is None and (
            type(images) is int or (isinstance(images, str) and images.isdigit() and is_webcam(images))
        ):
            raise ValueError(f"images: webcam {images} never ends; use frames=…, or stream({images!r})")
        parts, known = [], {}
        with closing(self.stream(images, boxes, box_format=box_format, frames=frames, **how)) as predictions:
            for prediction in predictions:
                if prediction.error is not None:
                    raise prediction.error
                known |= prediction.poses.photos or {}
                if len(prediction.poses):  # empty ones may lack columns
                    parts.append(replace(prediction.poses, photos=None))
        if parts:
            return replace(Poses.concatenate(parts), photos=known)
        empty = replace(self._no_poses(), photos=known)
        return empty if self.calibrate is None else self.calibrate.with_empty_fields(empty)

    def judge(self, images: Any, poses: Poses) -> Poses:  # noqa: ARG002
        """Return the same poses, from any source, with this model's trust for them: see `Predictor.judge`. Raises
        InputError for a model without a trust head that can read at given keypoints."""
        raise InputError(f"{self.model}: has no trust head that can read at given keypoints")

    def stream(
        self,
        photos: Any,
        boxes: ImageBoxes = None,
        *,
        channels: str = "RGB",
        box_format: str = "xyxy",
        recursive: bool = False,
        frames: int | None = None,
    ) -> Generator[Prediction, None, None]:
        """Yield the prediction for each photo or frame, in order, as soon as it is done: its `poses`, its `pixels`, or
        the `error` that stopped it.

        Takes what a call takes, and `Image`s. Photos and frames are read on demand and not kept, so that a video of any
        length, an endless iterator or a webcam needs little memory. Raises as a call does, but for photos that cannot
        be read.
        """
        if boxes is None and (channels, box_format) == ("RGB", "xyxy") and _is_photo_file(photos):
            return self._finished([Image(photos)])
        from trustpose.predict import inputs  # which needs `Image`

        check_box_format(box_format)
        given = inputs.images_of(photos, inputs.How(channels, recursive, frames, self.max_pixels))
        if boxes is None:
            return self._finished(given)
        images = list(inputs.without_videos(given))
        is_one = len(images) == 1 and not inputs.is_many(photos)
        some = boxes_of(boxes, len(images), is_one, box_format)
        return self._finished([replace(image, boxes=one) for image, one in zip(images, some, strict=True)])

    def _finished(self, photos: Iterable[Image]) -> Generator[Prediction, None, None]:
        """Yield each photo's prediction, calibrated, without duplicates and without people below `min_presence`."""
        predictions = self._predictions(photos)
        for prediction in predictions if self.calibrate is None else self.calibrate(predictions):
            is_detected = prediction.poses.box_score is not None
            suppress = self.suppress or (self.suppress_detected if is_detected else None)
            if suppress is not None:
                prediction = replace(prediction, poses=suppressed(prediction.poses, suppress))
            poses = present_people(prediction.poses, self.min_presence)
            known = {prediction.photo.image_id: _origin(prediction.photo)}
            left_out = len(prediction.poses) - len(poses)
            yield replace(prediction, poses=replace(poses, photos=known), left_out=left_out)

    @property
    def body(self) -> "BasePredictor":
        """The predictor of bodies, without the networks for hands and faces beside it (`predict.whole_body`)."""
        return self

    def with_parts(self, prediction: Prediction) -> Prediction:
        """Return a prediction of `body` with what is beside it."""
        return prediction

    def run(
        self,
        sources: "str | Path | Sequence[str | Path] | Sources",
        out: str | Path = "predictions",
        options: RunOptions = RunOptions(),  # noqa: B008
        *,
        drawings: "Drawings | Mapping[str, Drawings] | None" = None,
        tell: "Callable[[Step], None] | None" = None,
        **given: Any,
    ) -> "Done":
        """Predict photos, videos, folders, globs, addresses, or a webcam, and write to the folder `out`, as `trustpose
        predict` does without drawings; `given` are `RunOptions` by name.

        results.json there has COCO results; a video beside other files has its own, in a folder of its name.
        images.json lists the photos' ids if they were counted. An interrupted run continues with resume=True, and
        overwrite=True replaces an earlier one's results. drawings: an object that draws each prediction, or one for
        each folder of results; tell: a callback for each finished photo or frame. Raises InputError; photos that cannot
        be read are skipped and counted.
        """
        run = import_module("trustpose.predict.run").run
        return run(self, sources, Path(out), replace(options, **given), drawings, tell)

    @abstractmethod
    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        """Yield each photo's prediction, in order, before calibration and suppression."""

    def _describe(self, spec: ModelSpec) -> None:
        self.model = str(spec.onnx)
        self.name, self.licence, self.skeleton, self.people = spec.name, spec.licence, spec.skeleton, spec.people

    def _no_poses(self) -> Poses:
        return no_poses(self.skeleton)
