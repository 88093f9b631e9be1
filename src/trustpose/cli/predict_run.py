"""The run behind `trustpose predict`: predicting, drawing and noting what is done, photo by photo or frame by frame."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trustpose.files import DiskError, InputError, write_json
from trustpose.formats.coco import write_results
from trustpose.formats.video import Video
from trustpose.images import Images
from trustpose.poses import Poses
from trustpose.predict.boxes import NO_BOXES, Boxes
from trustpose.predict.journal import Journal
from trustpose.predict.load import AnyPredictor
from trustpose.predict.photos import Image, Prediction
from trustpose.predict.prefetch import prefetch
from trustpose.predict.sources import Sources
from trustpose.report.draw import draw_poses
from trustpose.report.pictures import picture_names, write_picture
from trustpose.report.video import VideoWriter

if TYPE_CHECKING:
    from trustpose.cli.suppress import Suppress

_AHEAD = 6  # photos that are drawn while others are predicted

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Drawing:
    """Where drawings go: a picture for each photo, or one video; joints with less than `min_score` are left out."""

    pictures: dict[Path, Path]
    video: Path | None
    min_score: float | None

    @classmethod
    def of(cls, sources: Sources, out: Path, min_score: float | None) -> "Drawing":
        """The drawings of a run into a folder."""
        if sources.video is None:
            return cls(picture_names(sources.files, out), None, min_score)
        name = f"webcam-{sources.video}" if isinstance(sources.video, int) else sources.video.stem
        return cls({}, out / f"{name}.mp4", min_score)

    @property
    def paths(self) -> list[Path]:
        """Every file that is written."""
        return [*self.pictures.values()] + ([] if self.video is None else [self.video])


@dataclass(eq=False)
class Done:
    """What a run came to: poses by image id in the order of the photos; how many people it predicted in how many
    seconds (those that the journal had take no part in this); and one line for each thing that went wrong."""

    poses: dict[int, Poses]
    predicted: int
    seconds: float
    complaints: list[str]

    @property
    def people(self) -> int:
        """How many."""
        return sum(map(len, self.poses.values()))


def predict_photos(
    predictor: AnyPredictor,
    photos: list[Image],
    journal: Journal,
    drawing: Drawing | None = None,
    suppress: "Suppress | None" = None,
) -> Done:
    """Predict on photos, those left out that the journal has. Poses that `suppress` drops are as if not found."""

    def draw(prediction: Prediction) -> InputError | None:
        assert isinstance(prediction.photo.source, Path)
        try:
            if drawing is not None:
                write_picture(drawing.pictures[prediction.photo.source], _drawn(predictor, prediction, drawing))
        except DiskError:  # the next one would fail as well, and the journal
            raise
        except InputError as error:  # its poses stay, and so do the other photos
            return error
        return None

    started = time.perf_counter()
    todo = [photo for photo in photos if photo.image_id not in journal.done]
    found: dict[int, Poses] = dict(journal.done)
    skipped = undrawn = people = 0
    with _progress(len(todo), "photos") as advance:
        for prediction, problem in _finished(predictor, todo, draw, suppress):
            if prediction.error is not None:
                skipped += 1
                _say("skipped", prediction.error)
            else:
                found[prediction.photo.image_id] = prediction.poses
                journal.add(prediction.photo.image_id, prediction.poses)
            if problem is not None:
                undrawn += 1
                _say("not drawn", problem)
            people += len(prediction.poses)
            advance(len(prediction.poses))
    ordered = {photo.image_id: found[photo.image_id] for photo in photos if photo.image_id in found}
    counts = {"skipped": skipped, "could not draw": undrawn}
    complaints = [f"{what} {count} of {len(photos)} photos, see above" for what, count in counts.items() if count]
    return Done(ordered, people, time.perf_counter() - started, complaints)


def predict_video(
    predictor: AnyPredictor,
    sources: Sources,
    journal: Journal,
    drawing: Drawing | None = None,
    limit: int | None = None,
    suppress: "Suppress | None" = None,
) -> Done:
    """Predict on every frame; those that the journal has are drawn again and not predicted again.

    A webcam runs until Ctrl-C ends it, or up to `limit` frames.
    """
    assert sources.video is not None
    path = None if drawing is None else drawing.video

    def draw(prediction: Prediction) -> np.ndarray | None:
        poses = journal.done.get(prediction.photo.image_id, prediction.poses)
        return None if drawing is None else _drawn(predictor, replace(prediction, poses=poses), drawing)

    started = time.perf_counter()
    found: dict[int, Poses] = {}
    people = 0
    with ExitStack() as stack:
        video = stack.enter_context(Video(sources.video))
        total = min((number for number in (limit, video.count) if number is not None), default=None)
        advance = stack.enter_context(_progress(total, "frames"))
        writer: VideoWriter | None = None
        is_over = stack.enter_context(_interruption()) if video.is_webcam else Event()
        frames = takewhile(lambda _: not is_over.is_set(), _frames(video, limit, sources.frame_boxes, journal))
        for prediction, drawn in _finished(predictor, frames, draw, suppress):
            number = prediction.photo.image_id
            found[number] = journal.done.get(number, prediction.poses)
            if path is not None and drawn is not None:
                height, width = drawn.shape[:2]
                writer = writer or stack.enter_context(VideoWriter(path, width, height, video.frame_rate))
                writer.write(drawn)
            if number not in journal.done:
                journal.add(number, prediction.poses)
            people += len(prediction.poses)
            advance(len(prediction.poses))
        if not found:
            raise InputError(f"{video.source}: holds no frame that can be read")
    complaints = _cut_short(video, len(found), limit)
    return Done(found, people, time.perf_counter() - started, complaints)


def write_poses(path: Path, done: Done, sources: Sources, suppress: "Suppress | None" = None) -> None:
    """The results file of a run on `sources`, ranked by the scores that `suppress` leaves."""
    some = [part for part in done.poses.values() if len(part)]
    if not some:
        write_json(path, [])
        return
    poses = Poses.concatenate(some)
    score = poses.ranking_score
    if suppress is not None:
        found = suppress(poses, score)
        poses, score = poses[found.kept], found.score[found.kept]
    write_results(
        *(path, poses),
        score=score,
        category_id=sources.category_id,
        image_texts=sources.image_texts,
        annotation_texts=sources.annotation_texts,
    )


def write_images(path: Path, photos: list[Image]) -> None:
    """Which photo has which id, as in a ground truth file's `images`."""
    ids = np.array([photo.image_id for photo in photos], dtype=np.int64)
    write_json(path, Images(ids, [str(photo.source) for photo in photos]).to_json())


def _frames(video: Video, limit: int | None, boxes: list[Boxes] | None, journal: Journal) -> Iterator[Image]:
    """The frames as photos; those that the journal has come with no boxes, so that nothing is predicted on them."""
    for number, pixels in video.frames(limit):
        known = None if boxes is None else boxes[number] if number < len(boxes) else NO_BOXES
        yield Image(pixels, NO_BOXES if number in journal.done else known, number)


def _say(what: str, problem: InputError) -> None:
    typer.echo(f"trustpose: {what}: {' '.join(str(problem).split())}", err=True)


def _finished(
    predictor: AnyPredictor,
    photos: Iterable[Image],
    draw: Callable[[Prediction], Drawn],
    suppress: "Suppress | None",
) -> Iterator[tuple[Prediction, Drawn | None]]:
    """Each photo's prediction, without its pixels, and what `draw` made of it in a thread (None where it has none)."""

    def finish(prediction: Prediction) -> tuple[Prediction, Drawn | None]:
        if suppress is not None and len(prediction.poses):
            kept = suppress(prediction.poses, prediction.poses.ranking_score).kept
            prediction = replace(prediction, poses=prediction.poses[kept])
        drawn = None if prediction.error is not None else draw(prediction)
        return replace(prediction, photo=_without_pixels(prediction.photo), pixels=None), drawn

    with ThreadPoolExecutor(predictor.threads, "trustpose-draw") as drawers:
        yield from prefetch(drawers, finish, predictor.stream(photos), _AHEAD)


def _without_pixels(photo: Image) -> Image:
    return replace(photo, source="") if isinstance(photo.source, np.ndarray) else photo


def _drawn(predictor: AnyPredictor, prediction: Prediction, drawing: Drawing) -> np.ndarray:
    assert prediction.pixels is not None
    return draw_poses(prediction.pixels, prediction.poses, predictor.spec.skeleton, min_score=drawing.min_score)


def _cut_short(video: Video, read: int, limit: int | None) -> list[str]:
    """What to say of a file that ends well before the frames that it says it has (some containers only estimate)."""
    expected = min(video.count or 0, limit or video.count or 0)
    is_short = read < expected - max(2, expected // 50)
    return [f"{video.source}: ends after {read} of {expected} frames"] if is_short else []


@contextmanager
def _interruption() -> Iterator[Event]:
    """An event that Ctrl-C sets; a second Ctrl-C interrupts as ever."""
    event = Event()
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(total: int | None, what: str) -> Iterator[Callable[[int], None]]:
    """A function that says one more is done, with so many people: on a bar with people/s where someone watches."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what + ", {task.fields[speed]}"), TimeRemainingColumn())
    started, people = time.perf_counter(), 0
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total, speed="")

        def advance(count: int) -> None:
            nonlocal people
            people += count
            rate = people / (time.perf_counter() - started)
            progress.update(task, advance=1, speed=f"{rate:.0f} people/s")

        yield advance
