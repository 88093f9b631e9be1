"""A whole run: load a model, predict photos or videos, draw them and write the results, as `trustpose predict` does."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnxruntime

from trustpose.files import InputError
from trustpose.io.download import is_address
from trustpose.io.output_files import check_outputs, model_files
from trustpose.models.spec import DEFAULT, ModelSpec, shipped_folder
from trustpose.names import unknown_option
from trustpose.options import lists_options, settings_in
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.calibrated import named
from trustpose.predict.journal import Done, Drawings
from trustpose.predict.load import load
from trustpose.predict.options import PredictFiles, PredictOptions, RunOptions
from trustpose.predict.photos import Prediction
from trustpose.predict.run import IMAGES, JOURNAL, check_earlier, results_name, sources_of
from trustpose.predict.sources import Sources
from trustpose.report import window
from trustpose.report.draw import draw_poses
from trustpose.report.options import DrawingOptions
from trustpose.report.pictures import picture_names, write_picture
from trustpose.report.run_watcher import RunWatcher
from trustpose.report.scene import check_style
from trustpose.report.video import MPEG4_NOTE, FrameColours, H264Writer, VideoWriter, has_h264, is_readable
from trustpose.skeletons import Skeleton

if TYPE_CHECKING:
    pass


class PoseDrawings:
    """The `drawings` argument of `predictor.run`: draws into the folder `out` in a style of `draw_poses`; joints below
    `min_score` are left out.

    `paths` are the files written: pictures in threads, a video after its last frame. Raises InputError if one cannot be
    written.
    """

    def __init__(
        self, sources: Sources, out: Path, skeleton: Skeleton, min_score: float | None = None, style: str = "trust"
    ) -> None:
        self._skeleton, self._min_score, self._style = skeleton, min_score, check_style(style)
        self._frame_rate = sources.frame_rate
        self._pictures = picture_names(sources.files, out) if sources.video is None else {}
        name = f"webcam-{sources.video}" if isinstance(sources.video, int) else getattr(sources.video, "stem", "")
        self._video = None if sources.video is None else out / f"{name}.mp4"
        self.paths: Sequence[Path] = [*self._pictures.values()] if self._video is None else [self._video]
        self._source = sources.video if isinstance(sources.video, Path) else None
        self._frame_colours, self._colour_indices = FrameColours(), dict[int, np.ndarray]()
        self._open = ExitStack()
        self._writer: VideoWriter | H264Writer | None = None

    @property
    def note(self) -> str | None:
        """A note for the user about the files, before the run; None if there is none."""
        if self._video is None:
            return None
        if not has_h264():
            return f"{self._video}: {MPEG4_NOTE}"
        if self._source is None or is_readable(self._source):
            return None
        return f"{self._video}: is written without sound, at a constant frame rate: {self._source} is damaged"

    def follow(self, prediction: Prediction) -> None:
        """Keep the colours of a video's people, if there is one each; to be called with every frame before `draw`."""
        if self._video is not None and self._style == "people":
            self._colour_indices[prediction.photo.image_id] = self._frame_colours.next(prediction.poses)

    def draw(self, prediction: Prediction) -> np.ndarray | None:
        """Return a drawn frame of a video; write the drawing of a photo at once."""
        assert prediction.pixels is not None
        drawn = draw_poses(
            prediction.pixels,
            prediction.poses,
            self._skeleton,
            style=self._style,
            min_score=self._min_score,
            is_frame=self._video is not None,
            colour_indices=self._colour_indices.pop(prediction.photo.image_id, None),
        )
        if self._video is not None:
            return drawn
        assert isinstance(prediction.photo.source, Path)
        write_picture(self._pictures[prediction.photo.source], drawn)
        return None

    def add(self, drawn: np.ndarray) -> None:
        """Add the next frame of the video."""
        assert self._video is not None
        height, width = drawn.shape[:2]
        if self._writer is None:
            writer = (
                H264Writer(self._video, width, height, self._frame_rate, self._source)
                if has_h264()
                else VideoWriter(self._video, width, height, self._frame_rate)
            )
            self._writer = self._open.enter_context(writer)
        self._writer.write(drawn)

    def __enter__(self) -> "PoseDrawings":
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)


@lists_options(PredictOptions, RunOptions, DrawingOptions)
def run(
    sources: str | Path | Sequence[str | Path],
    out: str | Path = "predictions",
    model: str | Path = "default",
    *,
    options: PredictOptions = PredictOptions(),  # noqa: B008
    run_options: RunOptions = RunOptions(),  # noqa: B008
    drawing: DrawingOptions = DrawingOptions(),  # noqa: B008
    watcher: RunWatcher | None = None,
    **changes: Any,
) -> Done:
    """Predict photos, videos or a webcam, write the results file, and draw the poses, as `trustpose predict` does.

    Args:
        sources: photos, videos, folders and globs of them, web addresses, or the index of a webcam.
        out: folder for the results file and the drawings.
        model: as `tp.load` takes it.
        options: how the model is loaded.
        run_options: how the sources are read, and which results are written.
        drawing: whether and how poses are drawn.
        watcher: is told what happens; None: nobody.
        changes: options of these three records by name, such as `track=True`.

    Returns:
        The poses of each photo, and what was not read or drawn.

    Raises:
        InputError: for options, sources or a model that do not fit, before anything is written.

    Example:
        >>> done = tp.run("photos/", "out/", flip=True, draw=False)  # doctest: +SKIP
    """
    options, run_options, drawing = _with_changes((options, run_options, drawing), changes)
    listed = [str(source) for source in ([sources] if isinstance(sources, (str, Path)) else sources)]
    files = PredictFiles(listed, model=str(model), out=str(out))
    if not files.sources:
        raise InputError("no photos given: name photos or their folder, as in trustpose predict photos/ --gt …")
    watcher = watcher or RunWatcher()
    if drawing.show:
        window.check_windows()
    silence_libraries()
    folder = Path(files.out)
    caller_settings = {**run_options.caller_settings, **dict(settings_in(drawing))}
    predictor = load(files.model, options)
    setting = ModelSpec.read(files.model).fast if options.fast else None
    if setting is not None:
        watcher.noted(f"--fast: {setting.describe()}")
    watcher.loaded(predictor)
    if any(map(is_address, files.sources)):  # before their files are downloaded to it
        check_earlier(folder, run_options, results_name(run_options))
    inputs = sources_of(predictor, files.sources, run_options, folder)
    drawings = _drawings(predictor, inputs, folder, drawing, watcher)
    _check_outputs(files, options, run_options, inputs, drawings)
    if drawing.show:
        drawings = window.shown(inputs, drawings, predictor.skeleton, drawing.draw_min_score, drawing.style)
    with watcher.running(inputs) as tell:
        return predictor.run(inputs, folder, run_options, caller_settings=caller_settings, drawings=drawings, tell=tell)


def _with_changes(records: tuple[Any, ...], changes: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the records with options changed by name. Raises InputError for a name that none of them has."""
    names = [{field.name for field in fields(record)} for record in records]
    unknown = next((name for name in changes if not any(name in of_record for of_record in names)), None)
    if unknown is not None:
        raise InputError(unknown_option(unknown, sorted(set().union(*names))))
    return tuple(
        replace(record, **{name: value for name, value in changes.items() if name in of_record})
        for record, of_record in zip(records, names, strict=True)
    )


def silence_libraries() -> None:
    """Keep ONNX Runtime and OpenCV from printing lines of their own about broken photos: they get our message."""
    onnxruntime.set_default_logger_severity(4)  # its allocator ignores the level of a session
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # the same for OpenCV's video library


def _drawings(
    predictor: BasePredictor, sources: Sources, out: Path, drawing: DrawingOptions, watcher: RunWatcher
) -> dict[str, Drawings]:
    """Return the drawings of each part of a run by its folder; none if nothing is drawn."""
    drawings: dict[str, Drawings] = {}
    for part in sources.parts if drawing.draw else []:
        pictures = PoseDrawings(part, out / part.folder, predictor.skeleton, drawing.draw_min_score, drawing.style)
        if pictures.note is not None:
            watcher.noted(pictures.note)
        drawings[part.folder] = pictures
    return drawings


def _check_outputs(
    files: PredictFiles, options: PredictOptions, run: RunOptions, sources: Sources, drawings: dict[str, Drawings]
) -> None:
    """Check that no output overwrites an input, nor the results of an earlier run. Raises InputError."""
    prefix, _, argument = files.model.partition(":")
    model = Path(argument if prefix in ADAPTERS else files.model)
    videos = [file for part in sources.parts if part.video is not None for file in part.files]
    inputs: dict[str, Any] = {
        "a photo": sources.files if sources.video is None else [],
        "the video": videos,
        "--gt": run.gt,
        "--boxes": run.boxes,
        "--model": model_files(shipped_folder(files.model) if files.model == DEFAULT else model),
        "--detector": model_files(None if options.detector is None else Path(str(options.detector))),
        "--hands": model_files(None if options.hands is None else Path(options.hands)),
        "--face": model_files(None if options.face is None else Path(options.face)),
        "--detector-weights": options.detector_weights,
        "--calibrator": None if options.calibrator is None else Path(str(options.calibrator)),
        "--second": [file for second in options.seconds for file in model_files(Path(named(second)[1]))],
    }
    for part in sources.parts:
        folder = Path(files.out) / part.folder
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file, expected a folder for the results (--out)")
        drawn = drawings[part.folder].paths if part.folder in drawings else ()
        check_outputs({"--out": [folder / results_name(run), folder / IMAGES, folder / JOURNAL, *drawn]}, inputs)
        check_earlier(folder, run, results_name(run))
