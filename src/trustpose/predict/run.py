"""Run a predictor over photos or a video: predictions are recorded in a journal, to resume; results come at the end.

Nothing here prints or draws: callers pass a callback for each photo and an object that draws.
"""

import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from trustpose.calibration.applied_record import InSampleWarning, record_path, write_record
from trustpose.files import DiskError, InputError, shown, write_json
from trustpose.geometry.crops import NO_BOXES, Boxes
from trustpose.grouping.association import association_of
from trustpose.grouping.suppression import default_threshold, distance_of
from trustpose.images import Images
from trustpose.io.download import download_files
from trustpose.io.photos import SUFFIXES as PHOTO_SUFFIXES
from trustpose.io.tables import FORMATS, check_format, write_table
from trustpose.io.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.io.video import Video
from trustpose.models.spec import DEFAULT, detector_folder
from trustpose.options import settings_in
from trustpose.poses import Poses
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base_predictor import BasePredictor, PhotoCalibration
from trustpose.predict.calibrated import named
from trustpose.predict.fingerprints import fingerprint, model_fingerprint
from trustpose.predict.journal import Done, Drawings, Journal, Step, Tell
from trustpose.predict.load import DefaultDetector
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.photos import CameraFrame, Image, Prediction, VideoFrame, prefetch
from trustpose.predict.sources import PeopleOptions, Sources, find_sources
from trustpose.predict.tracked import (
    check_flow,
    check_tracked,
    default_tracker,
    flow_function_named,
    tracked_predictions,
)

Stream = Callable[[Iterable[Image]], Iterable[Prediction]]
_AHEAD = 6  # photos drawn while others are predicted


def finished(
    predictor: BasePredictor,
    photos: Iterable[Image],
    journal: Journal,
    drawings: Drawings | None,
    stream: Stream | None,
) -> Iterator[tuple[Prediction, Any, InputError | None]]:
    """Yield each prediction without its pixels, its drawing, made in threads, and the error if drawing failed."""

    def finish(prediction: Prediction) -> tuple[Prediction, Any, InputError | None]:
        photo = prediction.photo
        drawn = problem = None
        try:
            if drawings is not None and prediction.error is None:
                drawn = drawings.draw(prediction)
        except DiskError:  # later drawings and the journal would fail too
            raise
        except InputError as error:  # keep its poses, and continue with the other photos
            problem = error
        light = replace(photo, source="") if isinstance(photo.source, np.ndarray) else photo
        return replace(prediction, photo=light, pixels=None), drawn, problem

    def followed() -> Iterator[Prediction]:
        for prediction in (stream or predictor.stream)(photos):
            journal_poses = journal.done.get(prediction.photo.image_id)
            complete = prediction if journal_poses is None else replace(prediction, poses=journal_poses)
            if drawings is not None and complete.error is None:
                drawings.follow(complete)
            yield complete

    with ThreadPoolExecutor(predictor.threads, "trustpose-draw") as drawers:
        yield from prefetch(drawers, finish, followed(), _AHEAD)


IMAGES, JOURNAL = "images.json", "results.json.journal"  # file names in the folder of a run
TABLES = [f"results.{format_}" for format_ in FORMATS]
_DRAWINGS = (".jpg", ".mp4")


def earlier_result(folder: Path, results: str) -> str | None:
    """Return the name of a file of an earlier run that a run with this results file would replace, if there is one."""
    return next((name for name in (results, JOURNAL, IMAGES) if (folder / name).exists()), None)


def check_earlier(folder: Path, options: RunOptions, results: str) -> None:
    """Raise InputError if a folder has an earlier run's results and the options neither resume nor overwrite them."""
    earlier = None if options.resume or options.overwrite else earlier_result(folder, results)
    if earlier is not None:
        raise InputError(
            f"{folder}: holds {earlier} of an earlier run; --resume continues it, --overwrite replaces it, or choose "
            "another --out"
        )


def left_files(folder: Path, current_files: Iterable[Path]) -> list[Path]:
    """Return what may be of an earlier run in a folder, in order: drawings, results, and folders of a video's results,
    without `current_files`, the files and folders of this run."""
    current_paths = {path.resolve() for path in current_files}
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in entries if path.resolve() not in current_paths and _is_of_a_run(path)]


def _is_of_a_run(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).exists() for name in TABLES)
    return path.name in TABLES or path.suffix in _DRAWINGS


@contextmanager
def interruption() -> Iterator[Event]:
    """Yield an event that Ctrl-C sets; a second Ctrl-C interrupts as usual. Signals reach only the main thread."""
    event = Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


RESULTS = "results.json"  # its name in the folder of a run
DOWNLOADS = "downloads"  # its folder of files from addresses
_FILES = {*PHOTO_SUFFIXES, *VIDEO_SUFFIXES, *(Path(table).suffix for table in TABLES)}


def run(
    predictor: BasePredictor,
    sources: str | Path | Sequence[str | Path] | Sources,
    out: Path,
    options: RunOptions,
    drawings: Drawings | Mapping[str, Drawings] | None = None,
    tell: Tell | None = None,
) -> Done:
    """See `BasePredictor.run`. `drawings`: one for each part, by its folder, where there are several."""
    check_format(options.format)
    check_flow(options)
    if out.suffix.lower() in _FILES and not out.is_dir():
        raise InputError(f"{out}: --out: expected a folder, for results and pictures, got the name of a file")
    work = sources if isinstance(sources, Sources) else sources_of(predictor, sources, options, out)
    settings, parts = settings_of(predictor, options), work.parts
    if options.track:
        check_tracked(work)
    if len(parts) > 1 and isinstance(drawings, Drawings):
        raise InputError("drawings: expected one for each part of this run, which has videos beside other files")
    for part in parts:
        check_earlier(out / part.folder, options, results_name(options))
    journals: list[Journal] = []
    results: dict[str, Done] = {}
    for part in parts:
        drawn = drawings.get(part.folder) if isinstance(drawings, Mapping) else drawings
        folder = out / part.folder
        with Journal(folder / JOURNAL, settings | {"sources": part.fingerprint}, is_resumed=options.resume) as journal:
            results[part.folder] = _part(predictor, part, folder, options, journal, drawn, tell or (lambda _: None))
        journals.append(journal)
    for journal in journals:  # until now the same run can be resumed, and skips the parts that are finished
        journal.remove()
    done = results.pop("", None) or Done({}, 0, 0.0, [])
    done.videos, done.complaints = results, [*work.unreadable, *done.complaints]
    if options.overwrite:
        drawn = drawings.values() if isinstance(drawings, Mapping) else [] if drawings is None else [drawings]
        written = [out / part.folder / results_name(options) for part in parts]
        written += [out / part.folder for part in parts] + [path for drawing in drawn for path in drawing.paths]
        for folder in dict.fromkeys([out, *(out / part.folder for part in parts)]):
            done.leftover_files += left_files(folder, [*written, *(file for part in parts for file in part.files)])
    return done


def _part(
    predictor: BasePredictor,
    work: Sources,
    out: Path,
    options: RunOptions,
    journal: Journal,
    drawings: Drawings | None,
    tell: Tell,
) -> Done:
    """Predict the photos of a run, or one of its videos, and write the results."""
    if work.video is None:
        todo = [photo for photo in work.photos if photo.image_id not in journal.done]
        done = _predict(predictor, todo, len(todo), journal, drawings, tell)
        ids = [photo.image_id for photo in work.photos]
        done.poses = {image_id: done.poses[image_id] for image_id in ids if image_id in done.poses}
    else:
        done = _video(predictor, work, options, journal, drawings, tell)
    done.file = results_name(options)
    _write(out / done.file, done, work, options)
    if predictor.calibrate is not None:
        _record_calibrator(out / done.file, done, work, predictor.calibrate)
    elif options.overwrite:
        record_path(out / done.file).unlink(missing_ok=True)
    if work.is_numbered_here:
        write_json(out / IMAGES, work.numbered.to_json())
    elif options.overwrite:
        (out / IMAGES).unlink(missing_ok=True)  # of the run that was replaced: its ids are not those of these results
    return done


def sources_of(
    predictor: BasePredictor, names: str | Path | Sequence[str | Path], options: RunOptions, out: Path
) -> Sources:
    """Return the photos and videos given as files, folders, globs, addresses or a webcam's index, with boxes according
    to the options. Files at addresses are downloaded to a folder in `out`. Raises InputError for options that do not
    match."""
    detector = predictor.options.detector
    if options.boxes is not None and predictor.people == "photo":
        raise InputError(f"{predictor.model}: finds the people of whole photos by itself; leave out --boxes")
    if options.boxes is not None and detector is not None:
        raise InputError("--boxes and --detector: both give the people's boxes, use one of them")
    is_detected = predictor.people == "photo" or detector is not None
    is_detected = is_detected or (options.gt is None and options.boxes is None)
    if is_detected and isinstance(predictor.detector, DefaultDetector):
        predictor.detector.open()  # fails early if it is missing
    people = PeopleOptions(options.gt, options.boxes, predictor.options.min_box_score, options.all_people, is_detected)
    source_names = [names] if isinstance(names, (str, Path)) else names
    files = download_files([str(name) for name in source_names], out / DOWNLOADS, is_resumed=options.resume)
    return find_sources(files, people, recursive=options.recursive, out=out)


def _predict(
    predictor: BasePredictor,
    photos: Iterable[Image],
    total: int | None,
    journal: Journal,
    drawings: Drawings | None,
    tell: Tell,
    stream: Stream | None = None,
) -> Done:
    """Predict on photos or frames, by `predictor.stream` or another. Those in the journal have empty boxes and are only
    drawn."""
    started = time.perf_counter()
    poses_of_image: dict[int, Poses] = dict(journal.done)
    skipped = undrawn = people = count = left_out = 0
    with drawings or nullcontext():
        for prediction, drawn, undrawable in finished(predictor, photos, journal, drawings, stream):
            image_id, problem = prediction.photo.image_id, None
            count += 1
            if drawings is not None and drawn is not None:
                drawings.add(drawn)
            if prediction.error is not None:
                skipped, problem = skipped + 1, f"skipped: {prediction.error}"
            elif image_id not in journal.done:
                poses_of_image[image_id] = prediction.poses
                journal.add(image_id, prediction.poses)
                people += len(prediction.poses)
                left_out += prediction.left_out
            if undrawable is not None:
                undrawn, problem = undrawn + 1, f"not drawn: {undrawable}"
            tell(Step(len(prediction.poses) if image_id not in journal.done else 0, total, problem))
    counts = {"skipped": skipped, "could not draw": undrawn}
    every = count + len(journal.done) if isinstance(photos, list) else count
    kind = "photos" if isinstance(photos, list) else "frames"
    complaints = [f"{name} {number} of {every} {kind}, see above" for name, number in counts.items() if number]
    return Done(poses_of_image, people, time.perf_counter() - started, complaints, left_out=left_out)


def _video(
    predictor: BasePredictor,
    sources: Sources,
    options: RunOptions,
    journal: Journal,
    drawings: Drawings | None,
    tell: Tell,
) -> Done:
    """Predict on every frame; frames in the journal are drawn again but not predicted again.

    A webcam runs until Ctrl-C, or up to `options.frames` frames.
    """
    assert sources.video is not None
    limit = options.frames
    stream: Stream | None = None
    if options.track:
        body_joints = predictor.skeleton.body_count  # of the joints: a person is followed by the body
        earlier_poses = {
            image_id: poses.take_keypoints(np.arange(body_joints)) for image_id, poses in journal.done.items()
        }
        tracked = partial(
            tracked_predictions,
            predictor.body,
            tracker=default_tracker(predictor.body, flow_function_named(options.flow_method)),
            flow=options.flow,
            earlier_poses=earlier_poses,
        )
        stream = lambda photos: map(predictor.with_parts, tracked(photos))  # noqa: E731
    with ExitStack() as stack:
        video = stack.enter_context(Video(sources.video))
        total = min((number for number in (limit, video.count) if number is not None), default=None)
        is_over = stack.enter_context(interruption()) if video.is_webcam else Event()
        frames = takewhile(lambda _: not is_over.is_set(), _frames(video, limit, sources.frame_boxes, journal))
        done = _predict(predictor, frames, total, journal, drawings, tell, stream)
        if not done.poses:
            raise InputError(f"{video.source}: holds no frame that can be read")
    expected = min(video.count or 0, limit or video.count or 0)
    if len(done.poses) < expected - max(2, expected // 50):  # some containers only estimate the number of frames
        done.complaints.append(f"{video.source}: ends after {len(done.poses)} of {expected} frames")
    return done


def _frames(video: Video, limit: int | None, boxes: list[Boxes] | None, journal: Journal) -> Iterator[Image]:
    """Yield the frames as photos; those in the journal have empty boxes, so that they are not predicted."""
    for number, pixels in video.frames(limit):
        frame_boxes = None if boxes is None else boxes[number] if number < len(boxes) else NO_BOXES
        source = video.source
        origin = (
            CameraFrame(f"webcam {source}", number) if isinstance(source, int) else VideoFrame(Path(source), number)
        )
        yield Image(pixels, NO_BOXES if number in journal.done else frame_boxes, number, origin=origin)


def results_name(options: RunOptions) -> str:
    """Return the name of the results file of a run."""
    return str(Path(RESULTS).with_suffix(f".{options.format}"))


def _write(path: Path, done: Done, sources: Sources, options: RunOptions) -> None:
    """Write the results file of a run on `sources`, with rows in the order of the photos."""
    parts = [part for part in done.poses.values() if len(part)]
    models = {part.error_model for part in parts} - {None}  # those of the journal have none
    if len(models) == 1:
        model = models.pop()
        parts = [replace(part, error_model=model) for part in parts]
    is_results = options.format == "json" and not options.tidy
    names = {
        photo.image_id: shown(Path(photo.source).name)
        for photo in sources.photos
        if isinstance(photo.source, (str, Path))
    }
    write_table(
        *(path, Poses.concatenate(parts) if parts else None),
        format=options.format,
        tidy=options.tidy,
        images=None if is_results else Images(np.array(list(names), dtype=np.int64), list(names.values())),
        category_id=sources.category_id,
        texts={"image_id": sources.image_texts.text_of, "annotation_id": sources.annotation_texts.text_of},
    )


def _record_calibrator(path: Path, done: Done, sources: Sources, calibrate: PhotoCalibration) -> None:
    """Write which calibrator gave the trust of a results file beside it, for an audit; warn of photos of its fit. Ids
    that were counted, as of frames, say nothing of the photo."""
    is_counted = sources.video is not None or sources.is_numbered_here or not sources.image_texts.are_numbers
    ids = None if is_counted else [np.array(list(done.poses), dtype=np.int64)]
    for sentence in write_record(path, None, calibrate.path, calibrate.calibrator, ids):
        warnings.warn(sentence, InSampleWarning, stacklevel=2)


def settings_of(predictor: BasePredictor, run_options: RunOptions) -> dict[str, Any]:
    """Return the settings that affect the poses: options by name, files by their content. A resumed run must have the
    same."""
    options = predictor.options
    settings = {name: _setting(value) for record in (options, run_options) for name, value in settings_in(record)}
    association = association_of(options.association)
    settings |= {
        "model": model_fingerprint(predictor.model),
        "min_presence": predictor.min_presence,
        "detector": _detector(predictor, run_options),
        "suppression": _suppression(options),
        "association": None if association is None else str(association),
        "calibrator": None if predictor.calibrate is None else predictor.calibrate.fingerprint,
        "second": [model_fingerprint(model) for _, model in map(named, options.seconds)],
        "hands": None if options.hands is None else model_fingerprint(str(options.hands)),
        "face": None if options.face is None else model_fingerprint(str(options.face)),
    }
    prefix = predictor.model.partition(":")[0]
    if prefix in ADAPTERS:
        settings |= {"adapter": prefix, **options.adapter}
    return settings | dict(run_options.caller_settings)


def _setting(value: Any) -> Any:
    """Return an option's value as the journal holds it: a file's fingerprint, an object's name."""
    if isinstance(value, Path):
        return fingerprint(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else getattr(value, "name", str(value))


def _detector(predictor: BasePredictor, run_options: RunOptions) -> str | None:
    """Return the fingerprint of the detector, or a function's name; None if the boxes are from elsewhere."""
    detector = predictor.options.detector
    if detector is None and predictor.people == "boxes" and run_options.gt is None and run_options.boxes is None:
        detector = DEFAULT
    if detector == DEFAULT:
        fast = predictor.detector.folder if isinstance(predictor.detector, DefaultDetector) else None
        return fingerprint(fast or detector_folder())
    if callable(detector):
        return getattr(detector, "__qualname__", type(detector).__name__)
    return fingerprint(detector)


def _suppression(options: PredictOptions) -> Any:
    """Return the method for overlapping poses with its parameters, defaults filled in."""
    method = options.suppression
    if method is None or method == "none":
        return method
    distance, threshold = distance_of(method, options.suppression_distance), options.suppression_threshold
    threshold = default_threshold(method, distance) if threshold is None else threshold
    return [method, threshold, options.suppression_area, *([] if distance is None else [str(distance)])]
