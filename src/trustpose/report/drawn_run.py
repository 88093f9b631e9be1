"""A whole run: load a model, predict photos or videos, draw them and write the results, as `trustpose predict` does."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import onnxruntime

from trustpose.files import InputError
from trustpose.formats.download import is_address
from trustpose.formats.output_files import check_outputs, model_files
from trustpose.models.spec import DEFAULT, ModelSpec, shipped_folder
from trustpose.names import unknown_option
from trustpose.options import settings_in
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base import BasePredictor
from trustpose.predict.earlier_run import IMAGES, JOURNAL, check_earlier
from trustpose.predict.load import load
from trustpose.predict.options import PredictFiles, PredictOptions, RunOptions
from trustpose.predict.run import results_name, sources_of
from trustpose.predict.run_records import Done, Drawings
from trustpose.predict.second_opinion import named
from trustpose.predict.sources import Sources
from trustpose.report import window
from trustpose.report.options import DrawingOptions
from trustpose.report.predictions import PoseDrawings
from trustpose.report.run_watcher import RunWatcher


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
    files = PredictFiles(listed, str(model), str(out))
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
