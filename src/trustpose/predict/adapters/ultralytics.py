"""YOLO-pose of the package `ultralytics`, read from the network's raw output.

The package and its weights are under the AGPL-3.0 licence, or one bought from Ultralytics, which applies to users of
this adapter. trustpose contains none of its code; the package is an optional import through its documented interface.

Its own results put keypoints with a confidence below 0.5 at (0, 0) (versions 8.0.193 to 8.3) and clip coordinates to
the photo. So the network's documented output is decoded here, (B, 4 + classes + 3K, anchors) with a box as centre,
width and height, the classes' scores, and each keypoint's x, y and confidence, and every keypoint keeps its position.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.poses import Poses
from trustpose.predict.adapters.boxes import separate
from trustpose.predict.adapters.estimator import EstimatorPredictor, check_no_boxes, package
from trustpose.predict.boxes import Boxes
from trustpose.skeletons import COCO_17, Skeleton

IMAGE_SIZE = 640  # the package's default for a photo's longest side
STRIDE = 32
GREY = 114  # padding around the photo, as in training
MIN_SCORE = 0.25  # the package's default for prediction
MOST_OVERLAP = 0.7  # the package's default IoU


class UltralyticsPose:
    """A pose model of Ultralytics: its people after non-maximum suppression, however low their score.

    `score` is a keypoint's confidence, `pose_score` and `box_score` the person's, all 0–1 and unchanged. `model` is an
    argument of `ultralytics.YOLO`: a .pt file, which is a pickle and may run code when opened, a name that it
    downloads, or a .yaml that it builds with random weights. Raises InputError.
    """

    licence = "AGPL-3.0"
    skeleton = COCO_17
    people: PeopleFrom = "photo"

    def __init__(self, model: str | Path, *, device: str | None = None, image_size: int = IMAGE_SIZE) -> None:
        self._torch = package("torch", "ultralytics")
        yolo = package("ultralytics", "ultralytics").YOLO
        try:
            wrapped = yolo(str(model))
            self.module = wrapped.model.eval().to(device or "cpu")
        except Exception as error:  # unpickling may raise anything
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"ultralytics:{model}: cannot be loaded by ultralytics ({reason})") from None
        if wrapped.task != "pose":
            raise InputError(f"ultralytics:{model}: is a model for {wrapped.task!r}, expected 'pose'")
        self.image_size, self._device = image_size, device or "cpu"
        names = [wrapped.names[class_index] for class_index in sorted(wrapped.names)]
        self._classes, self._person = len(names), names.index("person") if "person" in names else 0
        self.name = f"ultralytics:{Path(model).name}"

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"], boxes: Boxes | None = None) -> Poses:
        """Return the people of a photo, RGB; see `Estimator`."""
        check_no_boxes(self.name, boxes)
        candidates = self.candidates(pixels)
        rows = separate(candidates.box, candidates.score, 1.0 if candidates.is_separate else MOST_OVERLAP)
        keypoints, score = candidates.keypoints[rows], candidates.score[rows]
        return Poses(
            xy=keypoints[..., :2],
            score=keypoints[..., 2],
            pose_score=score,
            box=candidates.box[rows],
            box_score=score,
        )

    def candidates(self, pixels: UInt8[np.ndarray, "H W 3"]) -> "YoloCandidates":
        """Return all candidates of the network for a photo, RGB, in image pixels."""
        image, scale, corner = letterbox(pixels, self.image_size)
        blob = image.transpose(2, 0, 1)[None].astype(np.float32) / 255  # (1, 3, h, w)
        with self._torch.inference_mode():
            output = self.module(self._torch.from_numpy(blob).to(self._device))
        raw = (output[0] if isinstance(output, (list, tuple)) else output).float().cpu().numpy()
        candidates = read_raw(raw[0], self._classes, self._person, self.name)
        xy = (candidates.keypoints[..., :2] - corner) / scale
        keypoints = np.concatenate([xy, candidates.keypoints[..., 2:]], axis=2)
        return replace(candidates, box=(candidates.box - np.tile(corner, 2)) / scale, keypoints=keypoints)


@dataclass(frozen=True, eq=False)
class YoloCandidates:
    """Boxes xyxy, scores and keypoints (x, y, confidence); `is_separate`: NMS is already done."""

    box: Float[np.ndarray, "N 4"]
    score: Float[np.ndarray, " N"]
    keypoints: Float[np.ndarray, "N K 3"]
    is_separate: bool


def read_raw(raw: np.ndarray, classes: int, person: int, name: str) -> YoloCandidates:
    """Return the candidates of class `person` in a network's output, in input pixels.

    raw: (4 + classes + 3K, anchors), or of an end-to-end network (people, 6 + 3K): xyxy, score, class, keypoints.
    Raises InputError for another shape, K being COCO's 17.
    """
    numbers = 3 * len(COCO_17)
    raw = raw.astype(np.float64)
    if raw.shape[0] == 4 + classes + numbers:
        centre, size = raw[:2].T, raw[2:4].T
        box = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        return YoloCandidates(box, raw[4 + person], raw[4 + classes :].T.reshape(-1, len(COCO_17), 3), False)
    if raw.shape[1] == 6 + numbers:
        raw = raw[raw[:, 5] == person]
        return YoloCandidates(raw[:, :4], raw[:, 4], raw[:, 6:].reshape(-1, len(COCO_17), 3), True)
    expected = f"({4 + classes + numbers}, anchors) or (people, {6 + numbers})"
    raise InputError(f"{name}: gave an output {raw.shape}, expected {expected} for COCO's 17 keypoints")


def letterbox(
    pixels: UInt8[np.ndarray, "H W 3"], longest: int
) -> tuple[UInt8[np.ndarray, "h w 3"], float, Float[np.ndarray, " 2"]]:
    """Scale a photo to a longest side and pad it with grey to multiples of 32; also return scale and upper left
    corner."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    new = [max(1, round(side * scale)) for side in (width, height)]
    if (width, height) != tuple(new):
        pixels = cv2.resize(pixels, new, interpolation=cv2.INTER_LINEAR)
    wide, high = (-(-side // STRIDE) * STRIDE for side in new)
    left, top = (wide - new[0]) // 2, (high - new[1]) // 2
    image = np.full((high, wide, 3), GREY, np.uint8)
    image[top : top + new[1], left : left + new[0]] = pixels
    return image, scale, np.array([left, top], dtype=np.float64)


def load(
    argument: str,
    *,
    device: str | None = None,
    min_score: float | None = None,
    threads: int = 2,
    skeleton: Skeleton | str | None = None,
    image_size: int = IMAGE_SIZE,
) -> EstimatorPredictor:
    """Load the predictor of a model that `ultralytics.YOLO` takes. `min_score` None means the package's own 0.25."""
    if not argument:
        raise InputError("ultralytics: expected ultralytics:MODEL, as in ultralytics:yolo11n-pose.pt")
    estimator = UltralyticsPose(argument, device=device, image_size=image_size)
    lowest = MIN_SCORE if min_score is None else min_score
    return EstimatorPredictor(estimator, threads=threads, min_score=lowest, skeleton=skeleton)
