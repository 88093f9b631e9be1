"""A window that shows each photo or frame with its poses while a run goes on, where OpenCV and the machine have one."""

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trustpose.files import InputError
from trustpose.predict.photos import Prediction
from trustpose.predict.run import Drawings
from trustpose.predict.sources import Sources
from trustpose.report.draw import draw_poses
from trustpose.report.video import FrameColours
from trustpose.skeletons import Skeleton

TITLE = "trustpose (q closes)"
_CLOSING = (ord("q"), 27)  # 27: Escape


def check_windows() -> None:
    """Raise InputError if this OpenCV or this machine shows no windows."""
    gui_line = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if gui_line is None or gui_line[1] == "NONE":
        raise InputError(
            "--show: this OpenCV has no windows (opencv-python-headless); install opencv-python in its place, or leave "
            "out --show and look at the drawings in --out"
        )
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError("--show: there is no display (DISPLAY and WAYLAND_DISPLAY are not set)")


def shown(
    work: Sources, files: Mapping[str, Drawings], skeleton: Skeleton, min_score: float | None, style: str
) -> "dict[str, Drawings]":
    """Return drawings for each part of a run, by its folder, that show each picture and write it as `files` do."""

    def picture(prediction: Prediction, colour_indices: np.ndarray) -> np.ndarray:
        assert prediction.pixels is not None
        drawing_options: dict[str, Any] = {
            "min_score": min_score,
            "style": style,
            "is_frame": True,
            "colour_indices": colour_indices,
        }
        return draw_poses(prediction.pixels, prediction.poses, skeleton, **drawing_options)

    return {part.folder: ShownDrawings(picture, files.get(part.folder)) for part in work.parts}


class ShownDrawings:
    """The `drawings` argument of `predictor.run`: shows the drawing that `picture` makes of each prediction and its
    people's colour indices, and passes predictions on to `files`, which writes them. Key q interrupts the run, as
    Ctrl-C does."""

    def __init__(self, picture: Callable[[Prediction, np.ndarray], np.ndarray], files: Drawings | None) -> None:
        self._picture, self._files = picture, files
        self.paths: Sequence[Path] = () if files is None else files.paths
        self._frame_colours, self._colour_indices = FrameColours(), dict[int, np.ndarray]()

    def follow(self, prediction: Prediction) -> None:
        """Keep the colours of the people."""
        self._colour_indices[prediction.photo.image_id] = self._frame_colours.next(prediction.poses)
        if self._files is not None:
            self._files.follow(prediction)

    def draw(self, prediction: Prediction) -> tuple[np.ndarray, Any]:
        """Return the picture to show, and what the files' drawing returns."""
        picture = self._picture(prediction, self._colour_indices.pop(prediction.photo.image_id))
        return picture, None if self._files is None else self._files.draw(prediction)

    def add(self, drawn: tuple[np.ndarray, Any]) -> None:
        """Show the next picture, in the main thread, as windows need it."""
        picture, file_drawing = drawn
        if self._files is not None and file_drawing is not None:
            self._files.add(file_drawing)
        cv2.imshow(TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(1) & 0xFF in _CLOSING:
            signal.raise_signal(signal.SIGINT)

    def __enter__(self) -> "ShownDrawings":
        if self._files is not None:
            self._files.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        cv2.destroyAllWindows()
        if self._files is not None:
            self._files.__exit__(*error)
