"""MediaPipe's pose landmarker (BlazePose, 33 landmarks; Bazarevsky et al., 2020), from the package `mediapipe`.

The package and Google's models are under the Apache-2.0 licence. The package includes no model: `pose_landmarker_lite`,
`_full` or `_heavy.task` comes from Google's page (ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker).
"""

import ctypes
import os
import weakref
from _thread import start_new_thread
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError, read_bytes
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.poses import Poses
from trustpose.predict.adapters.estimator import EstimatorPredictor, package
from trustpose.predict.boxes import Boxes
from trustpose.skeletons import BLAZEPOSE_33, Skeleton

MODELS = ("pose_landmarker_full.task", "pose_landmarker_heavy.task", "pose_landmarker_lite.task")
PADDING = 1.25  # enlargement of the person's box for MediaPipe
THRESHOLDS = (0.5, 0.5)  # MediaPipe's own, for a person's detection and presence
BOXED_THRESHOLDS = (0.01, 0.0)
"""On the labelled boxes of COCO `dev` MediaPipe's own 0.5 leaves 345 of 990 people without a pose, these leave 6; AP is
0.278 and 0.279, and 0.324 and 0.347 with poses ranked by their true OKS."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """MediaPipe's output for N people, 33 landmarks each.

    `xy` in image pixels, x and y times the image's width and height; `z` depth relative to the hips' middle, in the
    scale of x, smaller is nearer; `visibility` "the likelihood of the landmark being visible within the image" and
    `presence`, MediaPipe's own numbers, 0–1 and not calibrated; `world` in metres relative to the hips' middle.
    """

    xy: Float[np.ndarray, "N 33 2"]
    z: Float[np.ndarray, "N 33"]
    visibility: Float[np.ndarray, "N 33"]
    presence: Float[np.ndarray, "N 33"]
    world: Float[np.ndarray, "N 33 3"]


class MediaPipePose:
    """The landmarker on photos or, with boxes, on each box enlarged by 1.25 and clipped to the photo.

    Without boxes it detects up to `people` people; with boxes one person in each. Undetected people get no pose: with
    boxes there may be fewer poses than boxes, and `annotation_id` and `box` identify them. `min_detection` and
    `min_pose_presence` are MediaPipe's own thresholds for a whole person; None means its own default of 0.5, but with
    boxes, which are known to contain a person, `BOXED_THRESHOLDS`. `score` selects which of its two numbers for a
    landmark becomes `Poses.score`; `landmarks` returns both. `Poses.visibility`, which is for calibrated probabilities,
    stays empty. It has no score for a person: `pose_score` is the mean of `score`. Raises InputError.
    """

    name = "mediapipe"
    licence = "Apache-2.0"
    skeleton = BLAZEPOSE_33
    people: PeopleFrom = "either"

    def __init__(
        self,
        model: str | Path,
        *,
        people: int = 6,
        score: str = "visibility",
        min_detection: float | None = None,
        min_pose_presence: float | None = None,
    ) -> None:
        if score not in ("visibility", "presence"):
            raise InputError(f"mediapipe: score: expected visibility or presence, got {score!r}")
        self._mediapipe = package("mediapipe", "mediapipe")
        self._vision = package("mediapipe.tasks.python.vision", "mediapipe")
        self._content, self._path = read_bytes(model, "a .task file"), Path(model)
        self._thresholds = (min_detection, min_pose_presence)
        self._most_people, self._score = people, score
        self._landmarkers: dict[bool, Any] = {False: self._open(is_crop=False)}

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"], boxes: Boxes | None = None) -> Poses:
        """Return the people of a photo, RGB; see `Estimator`."""
        if boxes is None:
            return self._poses(self.landmarks(pixels))
        row_poses = []
        for row, box in enumerate(boxes.xyxy):
            x0, y0, x1, y1 = _crop(box, pixels.shape[1], pixels.shape[0])
            if x1 <= x0 or y1 <= y0:
                continue
            poses = self._poses(self.landmarks(pixels[y0:y1, x0:x1], is_crop=True), np.array([x0, y0]))
            if len(poses):
                row_poses.append((row, poses))
        if not row_poses:
            return self._poses(_landmarks([], [], 1, 1))
        rows = np.array([row for row, _ in row_poses])
        poses = Poses.concatenate([poses for _, poses in row_poses])
        pose_boxes = boxes[rows]
        return Poses(
            xy=poses.xy,
            score=poses.score,
            pose_score=poses.pose_score,
            box=pose_boxes.xyxy,
            box_score=pose_boxes.score,
            annotation_id=pose_boxes.annotation_id,
        )

    def landmarks(self, pixels: UInt8[np.ndarray, "H W 3"], *, is_crop: bool = False) -> Landmarks:
        """Return MediaPipe's output for the people of a photo, RGB; with `is_crop` for the one person it shows."""
        mediapipe = self._mediapipe
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        if is_crop not in self._landmarkers:
            self._landmarkers[is_crop] = self._open(is_crop)
        result = self._landmarkers[is_crop].detect(image)
        return _landmarks(result.pose_landmarks, result.pose_world_landmarks, pixels.shape[1], pixels.shape[0])

    def _poses(self, landmarks: Landmarks, offset: np.ndarray | float = 0.0) -> Poses:
        score = getattr(landmarks, self._score)
        return Poses(xy=landmarks.xy + offset, score=score, pose_score=score.mean(axis=1))

    def _open(self, is_crop: bool) -> Any:
        detection, presence = (
            default if threshold is None else threshold
            for threshold, default in zip(self._thresholds, BOXED_THRESHOLDS if is_crop else THRESHOLDS, strict=True)
        )
        options = self._vision.PoseLandmarkerOptions(
            base_options=package("mediapipe.tasks.python", "mediapipe").BaseOptions(model_asset_buffer=self._content),
            running_mode=self._vision.RunningMode.IMAGE,
            num_poses=1 if is_crop else self._most_people,
            min_pose_detection_confidence=detection,
            min_pose_presence_confidence=presence,
        )
        try:
            landmarker = self._vision.PoseLandmarker.create_from_options(options)
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            if "shared object" in reason:  # libEGL, libGLESv2: opened even without a GPU
                raise InputError(f"mediapipe: lacks a library ({reason}); on Debian: libegl1, libgles2") from None
            raise InputError(f"{self._path}: is not a model for MediaPipe's pose landmarker ({reason})") from None
        _close_with(self, landmarker)
        return landmarker


def find_model() -> Path:
    """Find one of `MODELS` in the folder TRUSTPOSE_MODELS, else in the current one. Raises InputError."""
    folder = Path(os.environ.get("TRUSTPOSE_MODELS") or ".")
    model = next((folder / name for name in MODELS if (folder / name).is_file()), None)
    if model is None:
        raise InputError(
            f"mediapipe: needs Google's model {MODELS[0]} (Apache-2.0, from ai.google.dev/edge/mediapipe/solutions/"
            "vision/pose_landmarker) in the current folder or in TRUSTPOSE_MODELS, or named: mediapipe:FILE.task"
        )
    return model


def _close_with(owner: object, landmarker: Any) -> None:
    """Close a landmarker when its owner is deleted, but not at Python's exit: MediaPipe 1.2's then needs threads that
    no longer start, and its destructor prints a traceback. An extra reference keeps that from running.

    It is closed in a thread of its own: closing takes locks of Python's thread pools, and the garbage collector may
    delete the owner while this thread holds them, which would wait for itself for ever.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(landmarker))
    weakref.finalize(owner, start_new_thread, landmarker.close, ()).atexit = False  # type: ignore[missing-attribute]


def _crop(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the part of the photo around a box xyxy: whole pixels x0, y0, x1, y1, the last ones excluded."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * PADDING
    low = np.clip(np.floor(centre - half), 0, [width, height])
    high = np.clip(np.ceil(centre + half), 0, [width, height])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _landmarks(people: list[Any], world: list[Any], width: int, height: int) -> Landmarks:
    """Convert MediaPipe's objects to arrays."""
    names = ("x", "y", "z", "visibility", "presence")
    rows = [[[getattr(landmark, name) for name in names] for landmark in person] for person in people]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(BLAZEPOSE_33), 5)
    metres = np.array(
        [[[landmark.x, landmark.y, landmark.z] for landmark in person] for person in world], dtype=np.float64
    )
    return Landmarks(
        xy=table[..., :2] * (width, height),
        z=table[..., 2],
        visibility=table[..., 3],
        presence=table[..., 4],
        world=metres.reshape(-1, len(BLAZEPOSE_33), 3),
    )


def load(
    argument: str,
    *,
    threads: int = 2,
    skeleton: Skeleton | str | None = None,
    people: int = 6,
    score: str = "visibility",
    min_detection: float | None = None,
    min_pose_presence: float | None = None,
) -> EstimatorPredictor:
    """Load the predictor of a .task file, or of `find_model`'s if `argument` is empty."""
    thresholds = {"min_detection": min_detection, "min_pose_presence": min_pose_presence}
    estimator = MediaPipePose(argument or find_model(), people=people, score=score, **thresholds)
    return EstimatorPredictor(estimator, threads=threads, skeleton=skeleton)
