"""`EstimatorPredictor`: another package's estimator with the interface of all predictors."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.io.photos import MAX_PIXELS
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.poses import Poses
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.boxes import Boxes, Detector, whole_photo
from trustpose.predict.detectors import load_detector
from trustpose.predict.photos import Image, Prediction, open_photo, prefetch
from trustpose.skeletons import Skeleton, skeleton_of
from trustpose.threads import worker_threads


@runtime_checkable
class Estimator(Protocol):
    """Maps one photo, RGB, to its people; boxes None: it detects them. Called from one thread at a time.

    Its numbers are unchanged: `score`, and if available `pose_score`, `box` and `box_score`, which equals `pose_score`
    if the estimator has one score per person. No keypoint is dropped, zeroed or NaN. With boxes, `annotation_id` and
    `box_score` are copied.

    people: "photo" if it finds people in the photo, "boxes" if it needs their boxes, "either".
    """

    name: str
    licence: str
    skeleton: Skeleton
    people: PeopleFrom

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"], boxes: Boxes | None = None) -> Poses: ...


class EstimatorPredictor(BasePredictor):
    """Predicts poses with another package's estimator. `threads` photos are read in parallel; it runs on one thread.

    `min_score` drops people that the estimator itself detects with a lower `pose_score` (None: keeps all). `detector`
    finds the people of photos without boxes, for estimators that need or take boxes; without one the estimator does, or
    if it cannot, each whole photo is one person. `skeleton` selects the keypoints of another one by name. Photo files
    with more than `max_pixels` are refused. Raises InputError if the estimator does not support an option.
    """

    def __init__(
        self,
        estimator: Estimator,
        *,
        threads: int = 2,
        min_score: float | None = None,
        detector: Detector | str | None = None,
        skeleton: Skeleton | str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.estimator = estimator
        self.max_pixels = max_pixels
        self.threads = threads
        self._workers = worker_threads(threads, "trustpose-estimator")
        self.min_score = min_score
        self.detector = None if detector is None else load_detector(detector)
        self.model = self.name = estimator.name
        self.licence, self.people = estimator.licence, estimator.people
        self.skeleton = estimator.skeleton if skeleton is None else skeleton_of(skeleton, "skeleton")
        self._index = None if skeleton is None else _index(estimator.skeleton, self.skeleton, self.name)
        self._lock = Lock()
        if detector is not None and self.people == "photo":
            raise InputError(f"{self.name}: finds the people of whole photos by itself; it takes no detector")

    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        yield from prefetch(self._workers(), self._predict, photos, 2 * self.threads)

    def _predict(self, photo: Image) -> Prediction:
        people, boxes = self.people, photo.boxes
        empty = self._no_poses()
        try:
            pixels = open_photo(photo, self.max_pixels)
            if boxes is None and self.detector is not None:
                boxes = self.detector(pixels)
            elif boxes is None and people == "boxes":
                boxes = whole_photo(pixels)
            if boxes is not None and not len(boxes):
                return Prediction(photo, empty, pixels)
            with self._lock:
                poses = self.estimator(pixels, boxes)
        except InputError as error:
            return Prediction(photo, empty, error=error)
        if boxes is None and self.min_score is not None and poses.pose_score is not None:
            poses = poses[np.flatnonzero(poses.pose_score >= self.min_score)]
        if self._index is not None:
            poses = poses.take_keypoints(self._index)
        image_id = np.full(len(poses), photo.image_id)
        return Prediction(photo, replace(poses, image_id=image_id, skeleton=self.skeleton), pixels)


def check_no_boxes(name: str, boxes: Boxes | None) -> None:
    """Raise ValueError if boxes are given to an estimator that cannot use them."""
    if boxes is not None:
        raise ValueError(f"boxes: expected None, {name} finds the people of whole photos by itself")


def package(module: str, extra: str) -> Any:
    """Import a module of another package. Raises InputError with the install line if it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, extra)) from None


def _index(skeleton: Skeleton, target: Skeleton, name: str) -> np.ndarray:
    index = skeleton.index_in(target, missing="mark")
    lacking = [keypoint for keypoint, source_index in zip(target.keypoints, index, strict=True) if source_index < 0]
    if lacking:
        raise InputError(f"{name}: its skeleton {skeleton.name} lacks {', '.join(lacking)} of {target.name}")
    return index
