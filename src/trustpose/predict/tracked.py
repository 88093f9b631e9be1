"""Track the people of a clip during prediction, also in frames in which the detector misses them.

With optical flow this is the pipeline of Xiao et al. 2018, "Simple Baselines for Human Pose Estimation and Tracking",
section 3: boxes around the last frame's joints, moved by the flow, join the detector's; box NMS; poses; OKS between the
poses and the last ones, moved by the flow.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace

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
from trustpose.tracking import FlowOfFrames, Tracker, both_distance, box_distance
from trustpose.tracking.flow import FlowFunction
from trustpose.tracking.tracker import Motion

_AROUND = 1.15  # of the box around the joints, as in the paper
_NMS = 0.5  # IoU above which two boxes are one person's
_FADE, _LEAST = 0.9, 0.7  # a carried box's score falls by this with each frame, and below the other it is dropped


@dataclass(eq=False)
class FrameTracker:
    """Predicts the frames of one clip and links their people; `stream` takes the frames in order.

    flow: link poses where optical flow takes the last ones, and, if people are detected for the predictor, add boxes
    around those. flow_function: the flow of two frames, as `FlowOfFrames` takes it. known_poses: the poses of frames
    that are not predicted again, by image id. `seconds` is the time spent on linking and flow. tracker: None for the
    default, which compares boxes alone if the skeleton has no sigmas for OKS.
    """

    predictor: BasePredictor
    tracker: Tracker | None = None
    flow: bool = False
    known_poses: Mapping[int, Poses] = field(default_factory=dict)
    seconds: float = 0.0
    flow_function: FlowFunction | None = None

    def __post_init__(self) -> None:
        distance = both_distance if self.predictor.skeleton.has_sigmas else box_distance
        self._tracker = self.tracker or Tracker(distance=distance)

    def stream(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        """Yield each frame's prediction, with `track_id`."""
        if not self.flow:
            with closing(self.predictor.stream(photos)) as predictions:
                for prediction in predictions:
                    yield self._linked(prediction, None)
            return
        motions = FlowOfFrames(self.flow_function)
        for photo, detected in self._detected(photos):
            started = time.perf_counter()
            motion = motions(photo.source)
            if detected is not None:
                boxes = joined(detected, self._tracker.last(motion), photo.image_id)
                photo = replace(photo, boxes=inside(boxes, *photo.source.shape[1::-1]))
            self.seconds += time.perf_counter() - started
            prediction = next(iter(self.predictor.stream([photo])))
            yield self._linked(prediction, motion)

    def _detected(self, photos: Iterable[Image]) -> Iterator[tuple[Image, Boxes | None]]:
        """Yield each frame with its people's boxes, detected ahead in threads; None if they were given or the predictor
        finds people by itself."""
        needs_boxes = self.predictor.people != "photo"
        find: Callable[[np.ndarray], Boxes] = self.predictor.detector or whole_photo

        def look(photo: Image) -> tuple[Image, Boxes | None]:
            return photo, find(photo.source) if needs_boxes and photo.boxes is None else None

        with ThreadPoolExecutor(2, "trustpose-detect") as workers:
            yield from prefetch(workers, look, photos, 3)

    def _linked(self, prediction: Prediction, motion: Motion | None) -> Prediction:
        earlier_poses = self.known_poses.get(prediction.photo.image_id)
        poses = prediction.poses if earlier_poses is None else replace(earlier_poses, skeleton=self.predictor.skeleton)
        started = time.perf_counter()
        linked = self._tracker(poses, motion)
        self.seconds += time.perf_counter() - started
        return replace(prediction, poses=linked)


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
        raise InputError("--flow: follows people from frame to frame, and so expects --track")
    if options.flow_method != "dis" and not options.flow:
        raise InputError("--flow-method: says how --flow follows people, and so expects it")
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
