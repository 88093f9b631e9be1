"""The two stages of a run, as Ray Data calls them on any machine: a row comes in, rows go out."""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import onnxruntime

from trustpose.files import DiskError, InputError
from trustpose.poses import Poses
from trustpose.predict.fingerprints import model_fingerprint
from trustpose.predict.load import load
from trustpose.predict.options import PredictOptions
from trustpose.predict.photos import EncodedPhoto, Image, VideoFrame
from trustpose.scale.folder import RunFolder
from trustpose.scale.reading import Block, Clip, Videos, blocks, reason_of
from trustpose.scale.storage import ALONE, TOGETHER, Attempt, StoragePath
from trustpose.scale.table import Counts, Unread, block_content
from trustpose.scale.units import TABLE, VIDEO, Unit

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


_LARGEST = 2**31 - 1  # bytes in a cell of Arrow's


@dataclass(frozen=True)
class Work:
    """The arguments of `tp.load` for a worker's predictor, and the model's fingerprint."""

    model: str
    options: PredictOptions
    fingerprint: str | None

    def with_threads(self, cpus: int) -> "Work":
        """The same with as many threads as CPUs, unless the options name a number."""
        return replace(self, options=replace(self.options, threads=self.options.threads or cpus))


class Read:
    """An actor: reads a unit a row, and yields its blocks.

    An actor, not a task: Ray would start a process for most of the tasks, which takes longer than they do.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the unit's blocks, each with its name."""
        try:
            yield from self._blocks(Unit.from_json(row["unit"]))
        except InputError as error:
            yield {"name": "", "block": b"", **error_cells(error)}

    def _blocks(self, unit: Unit) -> Iterator[dict[str, Any]]:
        # foreign code, which may end the process, reads only these two
        is_risky = unit.kind in (TABLE, VIDEO)
        attempt = self._folder.attempt(f"{unit.number:07d}-{unit.digest}") if is_risky else None
        try:
            for block in blocks(unit, attempt):
                if sum(len(photo.content) for photo in block.photos) > 0.99 * _LARGEST:
                    raise InputError(
                        f"{block.photos[0].name}: {len(block.photos)} photos have over 2 GB; use a smaller --block"
                    )
                yield {"name": block.name, "block": pickle.dumps(block), **error_cells(None)}
        finally:
            if attempt is not None:
                attempt.over()


class Predict:
    """An actor: loads a predictor once, predicts a block a row, and writes its file.

    A block that is done again after a fault replaces its own file.
    """

    def __init__(self, work: Work, folder: RunFolder) -> None:
        self._folder = folder
        self._error: InputError | None = None
        try:
            self._predict = BlockPredictor(work.model, work.options, work.fingerprint)
        except InputError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the block's name and counts, for `counts_of`."""
        if row["error"]:
            return {"name": "", "counts": b"", "error": row["error"], "is_disk": row["is_disk"]}
        try:
            return {"name": row["name"], "counts": self._done(row).to_json(), **error_cells(None)}
        except InputError as error:
            return {"name": "", "counts": b"", **error_cells(error)}

    def _done(self, row: dict[str, Any]) -> Counts:
        if self._error is not None:
            raise self._error
        attempt = self._folder.attempt(row["name"])
        try:
            content, counts = self._predict(pickle.loads(row["block"]), attempt)  # what `Read` sent
        finally:
            attempt.over()
        self._folder.commit(row["name"], content)
        return counts


def counts_of(row: dict[str, Any]) -> tuple[str, Counts]:
    """Return a block's name and counts. Raises the InputError or DiskError that ended it."""
    if row["error"]:
        raise (DiskError if row["is_disk"] else InputError)(row["error"])
    return row["name"], Counts.from_json(row["counts"])


def error_cells(error: InputError | None) -> dict[str, Any]:
    """Return an error as values: of one that is raised, Ray brings only the text, with the trace in it."""
    return {"error": str(error or ""), "is_disk": isinstance(error, DiskError)}
