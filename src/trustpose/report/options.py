"""The options of drawings, for the command line and Python."""

from dataclasses import dataclass

from trustpose.options import option, repr_of_changes


@dataclass(frozen=True)
class DrawingOptions:
    """Whether and how the poses of a run are drawn."""

    __repr__ = repr_of_changes

    draw: bool = option(True, help="Draw the poses on the photos, or in a video (mp4).")
    style: str = option(
        "trust",
        panel="Drawing",
        help="Colours: trust, parts (left blue, right orange) or people (one colour each).",
    )
    draw_min_score: float | None = option(
        None, panel="Drawing", help="Do not draw keypoints with a lower score; results keep them."
    )
    show: bool = option(
        False,
        panel="Drawing",
        is_setting=False,
        help="Show each photo or frame in a window (needs an OpenCV with windows).",
    )
