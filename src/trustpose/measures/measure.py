"""`tp.measure`: read angles, lengths and speeds off poses, with intervals that hold the labelled values."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError
from trustpose.geometry.scene_options import PIXELS, WINDOW, SceneOptions
from trustpose.images import Images
from trustpose.io.read_poses import ImagesSource, PosesSource, images_of, poses_of
from trustpose.measures.definitions import MeasuresSource, find_measures
from trustpose.measures.measurements import LEVELS, Measurements
from trustpose.measures.people import PeopleReader
from trustpose.measures.smoothed_std import smoothed_std_of_file
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, Skeleton
from trustpose.tracking import Smoothed


def measure(
    poses: PosesSource | Smoothed,
    measures: MeasuresSource = None,
    images: ImagesSource | None = None,
    *,
    calibrator: Calibrator | str | Path | None = None,
    levels: Sequence[float] = LEVELS,
    intervals: bool = True,
    smoothed_std: Float[np.ndarray, "N K"] | None = None,
    fps: float | None = None,
    window: float = WINDOW,
    units: str = PIXELS,
    height: float | None = None,
    distance: str | None = None,
    floor: str | None = None,
    view: bool = True,
) -> Measurements:
    """Read joint angles, inclinations, lengths and speeds off poses, each with the error that it can have.

    The interval of a reading holds the value that a labeller's joints would give, for the stated share of people like
    those that the trust's errors were learnt from (`trustpose calibrate fit`, or the model). It is the error of the
    estimator in this picture: that a picture shows an angle's projection is not part of it, but `reason` says where the
    view makes a reading doubtful (`measures.views`). In tracks with times, readings of frames in which left and right
    are exchanged are not readable.

    Args:
        poses: N poses with trust, from a model or a calibrator; the path of their results file; or what `tp.smooth`
            returns, whose intervals are those of the smoothed joints.
        measures: None for the built-in ones; names of some, or of measures over time (`measures.motions`);
            `geometry.measures.Measure`s; or the path of a JSON file with your own (`measures.definitions`).
        images: the frames, for their times, or the path of a file that lists them.
        calibrator: adds trust first, and says how far measures are off; or its path.
        levels: shares of people whose value each interval is to hold, between 0 and 1.
        intervals: False gives values alone, for poses without trust.
        smoothed_std: (N, K), standard deviation of each joint after smoothing, pixels; of `Smoothed` and smoothed files
            it is known.
        fps: frames a second, where `image_id` is the frame's number and `images` are not given.
        window: seconds between the first and the last frame of speeds and accelerations.
        units: of lengths and speeds: "pixels", "body-heights" or "metres".
        height: the person's, metres, for metres.
        distance: "x1,y1,x2,y2,metres", two points in the picture and the distance between them, for metres.
        floor: "x1,y1,x2,y2", two points of the floor, which inclinations and heights are measured against.
        view: whether `reason` says where the view makes an angle doubtful.

    Returns:
        The values with their intervals, whether each can be read, and why not.

    Raises:
        InputError: if a file cannot be read; for poses without trust; for unknown measures or joints; for a level
            outside 0 to 1; for measures over time without times or tracks; for metres without a height or distance.
        TypeError: for anything but poses or a path.

    Example:
        >>> angles = tp.measure("results.json", ["left_knee", "trunk"], intervals=False)
        >>> angles
        Measurements(60 people × 2 measures; 100% of values readable)
    """
    if isinstance(poses, Smoothed):
        poses, smoothed_std = poses.poses, poses.std
    path = poses if isinstance(poses, (str, Path)) else None
    poses = poses_of(poses)
    if path is not None and smoothed_std is None:
        smoothed_std = smoothed_std_of_file(path, poses.keypoint_count)
    levels = checked_levels(levels)
    if isinstance(calibrator, (str, Path)):
        calibrator = Calibrator.load(calibrator)
    if calibrator is not None:
        poses = calibrator(poses)
    skeleton = skeleton_of_poses(poses)
    scene = SceneOptions(fps=fps, window=window, units=units, height=height, distance=distance, floor=floor, view=view)
    reader = PeopleReader(find_measures(measures, skeleton), skeleton, levels, scene, intervals=intervals)
    frames = None if images is None else images_of(images)
    if frames is not None:
        check_times(frames, "images")
    measured = reader(poses, np.arange(len(poses)), frames, smoothed_std)
    return replace(measured, notes=(*measured.notes, *reader.notes_of_view()))


def check_times(images: Images, source: str | Path) -> None:
    """Raise InputError, naming the source, if frames have no times."""
    if images.time is None:
        raise InputError(f"{source}: time: expected the seconds of each frame, there are none")


def checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return levels, ascending. Raises InputError unless they are between 0 and 1."""
    for level in levels:
        if not 0 < level < 1:
            raise InputError(f"levels: expected numbers between 0 and 1, got {level}")
    return tuple(sorted(set(levels)))


def skeleton_of_poses(poses: Poses, source: str | Path = "poses") -> Skeleton:
    """Return the poses' skeleton, COCO's for 17 keypoints that nothing names. Raises InputError, naming the source, if
    joints have no names."""
    if poses.skeleton is not None:
        return poses.skeleton
    if poses.keypoint_count != len(COCO_17):
        raise InputError(f"{source}: {poses.keypoint_count} keypoints without names, expected a skeleton (--skeleton)")
    return COCO_17
