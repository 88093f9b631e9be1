"""Write the drawn poses of a run: a picture for each photo, or one video."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.predict.photos import Prediction
from trustpose.predict.sources import Sources
from trustpose.report.draw import draw_poses
from trustpose.report.frame_colours import FrameColours
from trustpose.report.h264 import H264Writer, has_h264
from trustpose.report.palettes import check_style
from trustpose.report.pictures import picture_names, write_picture
from trustpose.report.source_video import is_readable
from trustpose.report.video import MPEG4_NOTE, VideoWriter
from trustpose.skeletons import Skeleton


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
