"""Option records that several commands share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trustpose.calibration.shipped import PREFIX, shipped_calibrators
from trustpose.datasets.options import skeleton_names
from trustpose.options import option


def calibrator_names() -> Iterable[str]:
    """Return the names of the bundled calibrators: shipped:NAME."""
    return [PREFIX + name for name in shipped_calibrators()]


@dataclass(frozen=True)
class FrameOptions:
    """Where the frames of clips are listed, for commands that join people over time."""

    images: Path | None = option(
        None,
        help="The frames: images.json or a COCO ground truth, with clip, time or file_name. Default: image_id is the "
        "number of the frame, in a single clip.",
    )


@dataclass(frozen=True)
class SkeletonOption:
    """The skeleton of keypoints in files."""

    skeleton: str | None = option(
        None,
        names=skeleton_names,
        help="Skeleton of the keypoints: NAME or FILE.json. Default: the one that the files name; "
        "coco17 for 17 keypoints.",
    )


@dataclass(frozen=True)
class CalibratorOption:
    """A calibrator for results without trust."""

    calibrator: str | None = option(
        None,
        names=calibrator_names,
        metavar="CALIBRATOR",
        help="Add trust to the results of another estimator first: the file of `trustpose calibrate fit`, or "
        "shipped:NAME.",
    )
