"""A worker: its predictor, loaded once, turns blocks of photos into files of their poses."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import onnxruntime

from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.predict.fingerprints import model_fingerprint
from trustpose.predict.load import load
from trustpose.predict.options import PredictOptions
from trustpose.predict.origins import EncodedPhoto, VideoFrame
from trustpose.predict.photos import Image
from trustpose.scale.attempts import ALONE, TOGETHER, Attempt
from trustpose.scale.clips import Videos
from trustpose.scale.reading import Block, Clip, reason_of
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import Counts, Unread, block_content

_ENDED = "ends the process that predicts it (a crash, or too little memory)"

Result = tuple[str, Poses] | Unread
"""One photo's name and poses, or why it has none."""


class BlockPredictor:
    """Predicts blocks, as one process does: `predict/` alone decides on the poses.

    fingerprint: of the model, as in the run's manifest; the model on this machine must have it too. Raises InputError.
    """

    def __init__(self, model: str, options: PredictOptions, fingerprint: str | None) -> None:
        onnxruntime.set_default_logger_severity(4)  # broken photos get our own message
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self.predictor = load(model, options)
        if model_fingerprint(self.predictor.model) != fingerprint:
            raise InputError(f"{model}: is another model on a worker's machine than where the run was started")
        self._max_pixels = options.max_pixels
        self._videos = Videos()

    def __call__(self, block: Block, attempt: Attempt | None = None) -> tuple[bytes, Counts]:
        """Return the block's Parquet file and its counts.

        attempt: the attempt at this block; after too many that killed the process, its photos are predicted one by one,
        and those that kill it alone are left out.
        """
        results: list[Result] = [
            Unread(photo.image_id, photo.name, photo.reason) for photo in block.photos if photo.reason
        ]
        if block.clip is not None:
            results += self._of_clip(block.clip, attempt)
        else:
            images = [
                Image(EncodedPhoto(photo.name, photo.content, self._max_pixels), None, photo.image_id)
                for photo in block.photos
                if not photo.reason
            ]
            if attempt is not None and attempt.is_alone:
                results += self._one_by_one(images, attempt)
            else:
                results += self._of_photos(images)
        predicted = [result for result in results if not isinstance(result, Unread)]
        counts = Counts(
            photos=len(results),
            people=sum(len(poses) for _, poses in predicted),
            without_people=sum(not len(poses) for _, poses in predicted),
            unread=tuple(result for result in results if isinstance(result, Unread)),
        )
        return block_content(predicted, counts), counts

    def _of_photos(self, images: list[Image]) -> list[Result]:
        """Predict photos together; one by one if that fails, as an unforeseen error of one photo must not stop a run of
        millions. A photo that fails alone is reported; if all fail, the error is raised."""
        try:
            return list(self._results(images))
        except InputError:
            raise
        except Exception:
            results = [self._alone(image) for image in images]
            if all(isinstance(result, Unread) for result in results):
                raise
            return results

    def _one_by_one(self, images: list[Image], attempt: Attempt) -> Iterator[Result]:
        for number, image in enumerate(images):
            if attempt.ended.get(number, 0) >= ALONE:
                yield Unread(image.image_id, image.source.name, _ENDED)
            else:
                attempt.note(number)
                yield self._alone(image)
        attempt.note(None)

    def _alone(self, image: Image) -> Result:
        try:
            return next(self._results([image]))
        except InputError:
            raise
        except Exception as error:
            problem = " ".join(str(error).split())[:200]
            return Unread(image.image_id, image.source.name, f"cannot be predicted ({type(error).__name__}: {problem})")

    def _of_clip(self, clip: Clip, attempt: Attempt | None) -> list[Result]:
        """Predict a clip. Frames cannot be decoded one by one, so that one which ends the process costs them all."""
        file = StoragePath(clip.root, clip.path)
        if attempt is not None and attempt.begun > TOGETHER + ALONE:
            last = "its end" if clip.stop is None else f"frame {clip.stop - 1}"
            reason = f"from frame {clip.start} to {last}: {_ENDED}"
            return [Unread(clip.first + clip.start, file.name, reason)]
        frames = (
            Image(pixels, None, clip.first + number, origin=VideoFrame(file.local, number))
            for number, pixels in self._videos.frames(file, clip.start, clip.stop)
        )
        try:
            return list(self._results(frames, file.name))
        except InputError as error:  # the video was there when it was cut
            return [Unread(clip.first + clip.start, file.name, reason_of(error, file.name))]

    def _results(self, images: Iterable[Image], name: str | None = None) -> Iterator[Result]:
        """Yield each photo's poses, under its own name or that of the video, or why there are none."""
        for prediction in self.predictor.stream(images):
            photo = prediction.photo
            named = photo.source.name if name is None else name
            if prediction.error is not None:
                yield Unread(photo.image_id, named, reason_of(prediction.error, named))
            else:
                yield named, replace(prediction.poses, photos=None)
