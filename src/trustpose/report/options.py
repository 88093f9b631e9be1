"""The options of drawings, for the command line and Python."""

from dataclasses import dataclass
from pathlib import Path

from trustpose.options import option, repr_of_changes
from trustpose.predict.options import BoxesOption, DetectorOptions, FlipOption, FolderOptions

SURFACE_STYLES = ("contours", "parts", "trust")


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


@dataclass(frozen=True)
class SurfaceOptions(FlipOption, DetectorOptions, BoxesOption, FolderOptions):
    """How surfaces are predicted and drawn."""

    __repr__ = repr_of_changes

    mirror: Path | None = option(
        None,
        help="DensePose's UV_symmetry_transforms.mat, for --flip: without it only parts and masks are averaged.",
    )
    draw: bool = option(True, help="Draw the surfaces on the photos.")
    style: str = option(
        "contours",
        panel="Drawing",
        names=SURFACE_STYLES,
        help="What is drawn. contours: lines of equal U and V; parts: a colour a part; trust: the expected geodesic "
        "similarity of each pixel, red to green, of a network that gives it.",
    )
    texture: Path | None = option(
        None, panel="Drawing", help="Draw this texture on the people instead: 6 rows and 4 columns of squares."
    )
