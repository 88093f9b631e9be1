"""Track the people of a clip during prediction, also in frames in which the detector misses them.

With optical flow this is the pipeline of Xiao et al. 2018, "Simple Baselines for Human Pose Estimation and Tracking",
section 3: boxes around the last frame's joints, moved by the flow, join the detector's; box NMS; poses; OKS between the
poses and the last ones, moved by the flow.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import Boxes
from trustpose.grouping.suppression import greedy_nms
from trustpose.poses import Poses
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.boxes import whole_photo
from trustpose.predict.options import RunOptions
from trustpose.predict.photos import Image, Prediction, prefetch
from trustpose.predict.sources import Sources
from trustpose.tracking import Tracker, both_distance, box_distance
from trustpose.tracking.flow import FlowFunction

_AROUND = 1.15  # of the box around the joints, as in the paper
_NMS = 0.5  # IoU above which two boxes are one person's
_FADE, _LEAST = 0.9, 0.7  # a carried box's score falls by this with each frame, and below the other it is dropped


def default_tracker(predictor: BasePredictor, flow_function: FlowFunction | None = None) -> Tracker:
    """Return a tracker for the poses of a predictor, which compares boxes alone if they have no sigmas for OKS."""
    distance = both_distance if predictor.skeleton.has_sigmas else box_distance
    return Tracker(distance=distance, flow_function=flow_function)


def tracked_predictions(
    predictor: BasePredictor,
    photos: Iterable[Image],
    tracker: Tracker,
    *,
    flow: bool = False,
    earlier_poses: Mapping[int, Poses] = MappingProxyType({}),
) -> Iterator[Prediction]:
    """Yield the prediction of each frame of one clip, with `track_id`.

    Args:
        predictor: of the poses.
        photos: the frames, in order.
        tracker: of this clip, such as `default_tracker`.
        flow: link poses where optical flow takes the last ones, and, if people are detected for the predictor, add
            boxes around those.
        earlier_poses: by image id, the poses of frames that are not predicted again.
    """
    predictions = _followed(predictor, photos, tracker) if flow else predictor.stream(photos)
    with closing(predictions):
        for prediction in predictions:
            poses = earlier_poses.get(prediction.photo.image_id)
            poses = prediction.poses if poses is None else replace(poses, skeleton=predictor.skeleton)
            yield replace(prediction, poses=tracker(poses))


def _followed(predictor: BasePredictor, photos: Iterable[Image], tracker: Tracker) -> Generator[Prediction, None, None]:
    """Yield each frame's prediction, with boxes around the last frame's poses where flow has moved them."""
    for photo, detected in _detected(predictor, photos):
        last = tracker.follow(photo.image_id, photo.source)
        if detected is not None:
            boxes = joined(detected, last, photo.image_id)
            photo = replace(photo, boxes=inside(boxes, *photo.source.shape[1::-1]))
        yield from predictor.stream([photo])


def _detected(predictor: BasePredictor, photos: Iterable[Image]) -> Iterator[tuple[Image, Boxes | None]]:
    """Yield each frame with its people's boxes, detected ahead in threads; None if they were given or the predictor
    finds people by itself."""
    needs_boxes = predictor.people != "photo"
    find: Callable[[np.ndarray], Boxes] = predictor.detector or whole_photo

    def look(photo: Image) -> tuple[Image, Boxes | None]:
        return photo, find(photo.source) if needs_boxes and photo.boxes is None else None

    with ThreadPoolExecutor(2, "trustpose-detect") as workers:
        yield from prefetch(workers, look, photos, 3)


def flow_function_named(method: str) -> FlowFunction | None:
    """Return the optical flow of two frames by its name, "dis", "raft" or "raft:WEIGHTS.pth"; None for OpenCV's DIS,
    `FlowOfFrames`' own. Raises InputError."""
    name, _, weights = method.partition(":")
    if method == "dis":
        return None
    if name != "raft":
        raise InputError(f"--flow-method: expected dis, raft or raft:WEIGHTS.pth, got {method!r}")
    try:
        from trustpose.networks.raft import Raft
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
    return Raft(weights or None)


def check_flow(options: RunOptions) -> None:
    """Check the options of optical flow, before anything is written. Raises InputError."""
    if options.flow and not options.track:
        raise InputError("--flow: follows people from frame to frame, so it requires --track")
    if options.flow_method != "dis" and not options.flow:
        raise InputError("--flow-method: is the method of --flow, so it requires --flow")
    flow_function_named(options.flow_method)


def check_tracked(work: Sources) -> None:
    """Refuse photos, whose order is not known. Raises InputError."""
    if work.photos or all(part.video is None for part in work.parts):
        first = f"{work.files[0]}: " if work.files else ""
        raise InputError(f"{first}--track is for videos; for frames as photos use trustpose track on their results")


def joined(detected: Boxes, last: Poses | None, image_id: int) -> Boxes:
    """Return the detected boxes, and boxes around the last frame's poses, moved to this one, where no better one is.

    A carried box's score is that of the pose's box, times 0.9, and at least 0.7: a sure detection is followed for three
    frames, and a doubtful one not at all, or a frame's false alarms would stay. Of boxes that overlap with an IoU above
    0.5 the one with the best score stays, a detected one in ties. Boxes without scores are returned unchanged.
    """
    if last is None or not len(last) or last.box_score is None or detected.score is None:
        return detected
    box, score = last.keypoint_box(), last.box_score * _FADE
    good = np.isfinite(box).all(axis=1) & (score >= _LEAST)
    centre, half = (box[good, :2] + box[good, 2:]) / 2, (box[good, 2:] - box[good, :2]) / 2 * _AROUND
    carried = np.concatenate([centre - half, centre + half], axis=1)
    every = np.concatenate([detected.xyxy, carried]).astype(np.float64)
    scores = np.concatenate([detected.score, score[good]])
    is_kept = greedy_nms(paired_iou(every[:, None], every), scores, _NMS)
    return Boxes(every[is_kept], np.full(int(is_kept.sum()), image_id), scores[is_kept])


def inside(boxes: Boxes, width: int, height: int) -> Boxes:
    """Return the boxes cut off at the frame's edges, without those of which less than two pixels remain."""
    cut = np.clip(boxes.xyxy, 0, [width, height, width, height])
    return replace(boxes, xyxy=cut)[np.flatnonzero((cut[:, 2:] - cut[:, :2] >= 2).all(axis=1))]
