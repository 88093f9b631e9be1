"""The options of recordings of several cameras, for the commands that read them."""

from collections.abc import Iterable
from dataclasses import dataclass

from trustpose.options import option


def _skeletons() -> Iterable[str]:
    from trustpose.skeletons import SKELETONS

    return SKELETONS


@dataclass(frozen=True)
class RecordingOptions:
    """How the poses of several cameras are read: the arguments of `multiview.recordings.read_recordings`."""

    weight: str = option(
        "auto",
        names=("auto", "trust", "scores", "none"),
        help="Weights of the keypoints. trust: expected OPKS; scores: the estimator's; auto: trust where all "
        "files have it.",
    )
    skeleton: str | None = option(
        None, names=_skeletons, help="Skeleton of the poses, if the files do not name it: NAME or FILE.json."
    )
    fps: str | None = option(None, help="Frames per second: one number, or one for each camera, separated by commas.")


@dataclass(frozen=True)
class SynchronisedOptions(RecordingOptions):
    """How poses are read whose cameras' times differ."""

    offset: str | None = option(
        None,
        help="Seconds to add to each camera's times, separated by commas, as `trustpose cameras synchronise` prints "
        "them; needs --fps.",
    )


UNIT = "Unit of length of the camera files (m, cm, mm, in or ft), where their format leaves it open."
CAMERAS = "Camera file of any supported format (one camera each, if repeated), or a folder of them."
