"""`BasePredictor`: what all predictors share, photos in and poses out, whatever the network."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trustpose.files import InputError
from trustpose.grouping.suppression import Suppress, suppress, suppress_poses
from trustpose.io.photos import MAX_PIXELS, SUFFIXES
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.models.spec import ModelSpec
from trustpose.notebook import html_record
from trustpose.poses import ErrorModel, Poses
from trustpose.predict.boxes import Detector, boxes_of, check_box_format
from trustpose.predict.live import camera_named, check_live, each_image, is_camera, is_live, newest_images
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.photos import CameraFrame, Image, Prediction, no_poses, origin_of
from trustpose.predict.sources import ReadOptions, is_many, without_videos
from trustpose.skeletons import Skeleton

if TYPE_CHECKING:
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.predict.journal import Done, Drawings, Step
    from trustpose.predict.sources import Sources

ImageBoxes = Any  # `Boxes`, xyxy (N, 4) as an array or list, a list of these, or None: see `boxes_of`
DOUBLE_OKS = 0.7
"""OKS, over the boxes' areas, above which the lower-ranked of two poses is left out. In 1,374 photos of COCO `train` no
two people that were both labelled reach .5 (https://trustpose.github.io/trustpose/benchmarks/presence.html)."""


class PhotoCalibration(Protocol):
    """Gives predictions a calibrator's trust, photo by photo, as `predict.calibrated` does."""

    calibrator: "Calibrator"
    path: Path | None
    fingerprint: str

    def __call__(self, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
        """Yield the same predictions with trust."""
        ...

    def with_empty_fields(self, poses: Poses) -> Poses:
        """Return poses without people, with the fields that the calibrator fills."""
        ...


def present_people(poses: Poses, min_presence: float) -> Poses:
    """Return the people with a presence of at least `min_presence`, without doubles: of two poses with an OKS above
    `DOUBLE_OKS` only the one that ranks higher. Keypoints are never left out.

    Poses without presence, or a `min_presence` of 0, keep everybody.
    """
    if poses.presence is None or not len(poses) or min_presence <= 0:
        return poses
    is_present = ~(poses.presence < min_presence)  # NaN: not known, and so kept
    if not is_present.all():
        poses = poses[np.flatnonzero(is_present)]
    skeleton = poses.skeleton
    if len(poses) < 2 or skeleton is None or not skeleton.has_sigmas:
        return poses
    single = suppress(
        poses, poses.ranking_score, method="oks-nms", threshold=DOUBLE_OKS, sigmas=skeleton.sigmas, area="box"
    )
    return poses if single.keep.all() else poses[np.flatnonzero(single.keep)]


def _is_photo_file(source: Any) -> bool:
    """Return whether this is the path of a photo file, by its suffix: the usual case, to be decided at once."""
    return isinstance(source, (str, Path)) and str(source).lower().endswith(SUFFIXES) and os.path.isfile(source)  # noqa: PTH113 (raises nothing)


def _endless(source: Any) -> ValueError:
    return ValueError(f"images: {camera_named(source).name} never ends; use frames=…, or stream")


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
    calibrate: PhotoCalibration | None = None
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
        return html_record(repr(self), [*fields, ("minimum presence of people", f"{self.min_presence:g}")])

    @property
    def _finds(self) -> str:
        """How the people of photos without boxes are found, in words."""
        if self.people == "photo":
            return "finds people by itself"
        return "one person in each photo" if self.detector is None else "people from a detector or given boxes"

    def __call__(
        self,
        images: Any,
        boxes: ImageBoxes = None,
        *,
        box_format: str = "xyxy",
        frames: int | None = None,
        **options: Any,
    ) -> Poses:
        """Predict the poses of the people in one image or several, or in the frames of a video.

        Args:
            images: a photo's or video's path, a folder, a pattern ("photos/*.jpg"), an address (http, https), a live
                source of `stream` with `frames`, such as a webcam's number; the bytes of a photo file; an array
                (H, W, 3), RGB; a Pillow image; a torch tensor (3, H, W), uint8 or from 0 to 1; a list or iterator of
                these; or (B, …) of arrays or tensors.
            boxes: of the people, xyxy in image pixels: (N, 4) as an array or a list for one image, a list of those for
                several; or `Boxes`, whose image_id then counts the images from 0. Without boxes, the detector or the
                model itself finds the people.
            box_format: "xyxy", or "xywh" for x, y, width and height.
            frames: at most so many of each video.
            options: channels="BGR" for arrays and tensors in that order, recursive=True for subfolders too.

        Returns:
            The poses, sorted by image, in the order of the boxes. `image_id` is the number of the image or frame, from
            0, and `photos` has where each image can be read again.

        Raises:
            InputError: for an image that cannot be read, and for boxes that are empty, outside their photo or fractions
                of it.
            ValueError: for anything that is no image, boxes of a wrong shape, and boxes that the model cannot use.

        Example:
            >>> poses = tp.load("default")("photo.jpg")
            >>> poses.skeleton.name, poses.quality.shape
            ('coco17', (1, 17))
        """
        if frames is None and not _is_photo_file(images) and is_camera(images, asks=False):
            raise _endless(images)
        parts, origins = [], {}
        with closing(self.stream(images, boxes, box_format=box_format, frames=frames, **options)) as predictions:
            for prediction in predictions:
                if prediction.error is not None:
                    raise prediction.error
                if frames is None and prediction.captured_at is not None and isinstance(images, str):
                    raise _endless(images)  # an address that turned out to be a camera's
                origins |= prediction.poses.photos or {}
                if len(prediction.poses):  # empty ones may lack columns
                    parts.append(replace(prediction.poses, photos=None))
        if parts:
            return replace(Poses.concatenate(parts), photos=origins)
        empty = replace(self._no_poses(), photos=origins)
        return empty if self.calibrate is None else self.calibrate.with_empty_fields(empty)

    def judge(self, images: Any, poses: Poses) -> Poses:  # noqa: ARG002
        """Predict this model's trust for poses from any source: see `Predictor.judge`.

        Raises InputError for a model without a trust head that can read at given keypoints.
        """
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
        live: bool | None = None,
        max_age: float | None = None,
        every: int = 1,
    ) -> Generator[Prediction, None, None]:
        """Predict photo by photo, each as soon as it is done, for videos of any length, endless iterators and cameras.

        Photos and frames are read on demand and not kept. Of files each frame is predicted, and frames are read ahead.
        Of a live source only the newest frame is, one at a time; its prediction has `captured_at`, `age` and `skipped`
        (https://trustpose.github.io/trustpose/guides/live.html).

        Args:
            photos: what a call takes, and `Image`s. Live sources are a webcam's number, "/dev/video0", an address
                (rtsp, rtmp, udp; http and https of motion JPEG or HLS) and an object with `read()` like
                `cv2.VideoCapture`, whose arrays are BGR.
            boxes: as for a call.
            channels: the channel order of arrays and tensors, "RGB" or "BGR".
            box_format: "xyxy" or "xywh".
            recursive: whether folders are read with their subfolders.
            frames: at most so many of each video; of a live source, so many predictions.
            live: True: read an iterator, or any http address, as a live source; False: each frame of a camera, in
                order, read ahead; None: by the source, as above.
            max_age: frames of a live source that are older, in seconds, when they would be predicted are skipped.
            every: predict only frames whose number is a multiple of this; photos are numbered from 0 likewise.

        Yields:
            The prediction for each photo or frame, in order: its `poses`, its `pixels`, or the `error` that stopped it.

        Raises:
            InputError: as a call does, but for photos that cannot be read; for a live source that does not answer.
            ValueError: as a call does.
        """
        if (
            boxes is None
            and not live
            and every == 1
            and (channels, box_format) == ("RGB", "xyxy")
            and _is_photo_file(photos)
        ):
            return self._finished([Image(photos)])
        check_live(live, max_age, every)
        check_box_format(box_format)
        read_options = ReadOptions(channels, recursive, frames, self.max_pixels)
        if is_live(photos, live):
            if boxes is not None:
                raise ValueError("boxes: are for photos, not for a live source")
            return self._newest(photos, read_options, max_age, every)
        image_stream = each_image(photos, read_options, live, every)
        if boxes is None:
            return self._finished(image_stream)
        images = list(without_videos(image_stream))
        is_one = len(images) == 1 and not is_many(photos)
        boxes_of_images = boxes_of(boxes, len(images), is_one, box_format)
        return self._finished(
            [replace(image, boxes=image_boxes) for image, image_boxes in zip(images, boxes_of_images, strict=True)]
        )

    def _newest(
        self, source: Any, options: ReadOptions, max_age: float | None, every: int
    ) -> Generator[Prediction, None, None]:
        """Yield the prediction of a live source's newest frame, again and again: each is finished before the next frame
        is taken, as frames that wait between threads grow old."""
        with closing(newest_images(source, options, max_age, every)) as images:
            for image in images:
                for prediction in self._finished([image]):
                    frame = image.origin
                    assert isinstance(frame, CameraFrame)
                    age = time.monotonic() - frame.clock
                    yield replace(prediction, captured_at=frame.captured_at, age=age, skipped=frame.skipped)

    def _finished(self, photos: Iterable[Image]) -> Generator[Prediction, None, None]:
        """Yield each photo's prediction, calibrated, without duplicates and without people below `min_presence`."""
        predictions = self._predictions(photos)
        for prediction in predictions if self.calibrate is None else self.calibrate(predictions):
            is_detected = prediction.poses.box_score is not None
            suppress = self.suppress or (self.suppress_detected if is_detected else None)
            if suppress is not None:
                prediction = replace(prediction, poses=suppress_poses(prediction.poses, suppress))
            poses = present_people(prediction.poses, self.min_presence)
            origins = {prediction.photo.image_id: origin_of(prediction.photo)}
            left_out = prediction.left_out + len(prediction.poses) - len(poses)
            yield replace(prediction, poses=replace(poses, photos=origins), left_out=left_out)

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
        **changes: Any,
    ) -> "Done":
        """Predict photos, videos, folders, patterns, addresses or a webcam, and write the results to a folder.

        `trustpose predict` does the same, with drawings.

        Args:
            sources: their names, or a webcam's number.
            out: the folder. results.json there has COCO results; a video beside other files has its own, in a folder of
                its name; images.json lists the photos' ids if they were counted.
            options: how sources are read and what is written.
            drawings: an object that draws each prediction, or one for each folder of results.
            tell: is called after each finished photo or frame.
            changes: options by name, such as resume=True to continue an interrupted run, overwrite=True to replace an
                earlier one's results, or track=True.

        Returns:
            The poses by photo; photos that could not be read are skipped and counted.

        Raises:
            InputError: for sources and options that do not fit, before anything is written.
        """
        run = import_module("trustpose.predict.run").run
        return run(self, sources, Path(out), replace(options, **changes), drawings, tell)

    @abstractmethod
    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        """Yield each photo's prediction, in order, before calibration and suppression."""

    def _describe(self, spec: ModelSpec) -> None:
        self.model = str(spec.onnx)
        self.name, self.licence, self.skeleton, self.people = spec.name, spec.licence, spec.skeleton, spec.people

    def _no_poses(self) -> Poses:
        return no_poses(self.skeleton)
